import assert from "node:assert/strict";
import { AetherError, BackendError, InvalidArgumentError } from "../../src/errors.ts";
import { type ConnectOptions, connectTo } from "../../src/nats/connect.ts";
import { AUTHORITY, CERTIFICATE, OTHER_AUTHORITY, PRIVATE_KEY } from "../support/certificates.ts";
import { issueCredentials } from "../support/nats_jwt.ts";
import { startNatsServer } from "../support/nats_server.ts";

/** Every text that an error shows: its message, stack, fields and causes. */
function shown(error: unknown): string {
  let text = Deno.inspect(error, { depth: 10, showHidden: true });
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    text += `${inner.message}${inner.stack}`;
  }
  return text;
}

/** Connects in vain. Returns the error, which must not show a part of a secret. */
async function refusal(
  url: string | readonly string[],
  options: ConnectOptions,
  secrets: readonly string[],
): Promise<AetherError> {
  const error = await connectTo(url, options).then((connection) => connection.close(), (error) => error);
  assert(error instanceof AetherError, `connected, or threw ${error}`);
  for (const secret of secrets) {
    for (let at = 0; at + 6 <= secret.length; at += 3) {
      const part = secret.slice(at, at + 6);
      assert(!shown(error).includes(part), `shows "${part}": ${shown(error)}`);
    }
  }
  return error;
}

function assertReason(error: AetherError, reason: BackendError["reason"], text: RegExp): void {
  assert(error instanceof BackendError, String(error));
  assert.equal(error.reason, reason, error.message);
  assert.match(error.message, text);
}

Deno.test("a credentials file is taken by path or as text, with any line ends and a byte order mark", async () => {
  const { config, credentials, seed } = issueCredentials();
  const stranger = issueCredentials();
  await using server = await startNatsServer({ config });
  const path = await Deno.makeTempFile({ suffix: ".creds" });
  try {
    const crlf = credentials.replaceAll("\n", "\r\n");
    for (
      const text of [
        credentials,
        crlf,
        `\uFEFF${credentials}`,
        `\uFEFF${crlf}`,
        `# a comment\n${credentials}`,
      ]
    ) {
      await Deno.writeTextFile(path, text);
      for (const given of [path, text]) await (await connectTo(server.url, { credentials: given })).close();
    }
    const jwt = credentials.split("\n")[1]!;
    const secrets = [seed, jwt.slice(40), stranger.seed, stranger.credentials.split("\n")[1]!.slice(40)];
    assertReason(
      await refusal(server.url, { credentials: stranger.credentials }, secrets),
      "denied",
      /refused the credentials/,
    );
    assertReason(await refusal(server.url, {}, secrets), "denied", /none were given/);
    await Deno.writeTextFile(path, credentials.replace(seed, seed.slice(0, -3)));
    for (
      const given of [
        path,
        credentials.replace(seed, `${seed.slice(0, -2)}${seed.at(-2) === "A" ? "B" : "A"}${seed.at(-1)}`),
        credentials.replace(seed, ""),
        credentials.replace(jwt, ""),
        credentials.slice(0, 60),
        seed,
        jwt,
        `${path}.missing`,
      ]
    ) {
      const error = await refusal(server.url, { credentials: given }, secrets);
      assert(error instanceof InvalidArgumentError, String(error));
      assert.equal(error.argument, "options.connect.credentials");
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("TLS that is missing on either side, or has another authority, is reported as such", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = (name: string, text: string): string => {
      Deno.writeTextFileSync(`${folder}/${name}`, text);
      return `${folder}/${name}`;
    };
    const caFile = file("ca.pem", AUTHORITY);
    const otherCaFile = file("other.pem", OTHER_AUTHORITY);
    const tls = { cert_file: file("server.pem", CERTIFICATE), key_file: file("server.key", PRIVATE_KEY) };
    const authorization = { users: [{ user: "u", password: "s3cret-Zq81Kx" }] };
    const user = { user: "u", pass: "s3cret-Zq81Kx" };
    const secrets = [user.pass];
    await using encrypted = await startNatsServer({ config: { tls, authorization } });
    await using plain = await startNatsServer({ config: { authorization } });

    const right = await connectTo(encrypted.url, { ...user, tls: { caFile } });
    await right.close();
    const byScheme = await connectTo(encrypted.url.replace("nats:", "tls:"), { ...user, tls: { caFile } });
    await byScheme.close();
    const failures: [string, ConnectOptions][] = [
      [encrypted.url, { ...user, tls: { caFile: otherCaFile } }],
      [encrypted.url, { ...user, tls: {} }],
      [encrypted.url, user],
      [encrypted.url.replace("://", `://u:${user.pass}@`), {}],
      [plain.url, { ...user, tls: { caFile } }],
      [plain.url.replace("nats:", "tls:"), user],
    ];
    for (const [url, options] of failures) {
      assertReason(await refusal(url, options, secrets), "untrusted", /could not be encrypted/);
    }
    const wrong = { user: "u", pass: "an0ther-Wv72Hj", tls: { caFile } };
    assertReason(
      await refusal(encrypted.url, wrong, [...secrets, wrong.pass]),
      "denied",
      /refused the credentials/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a password in a URL may have any character, and no part of it is shown", async () => {
  const passwords = ["a,b/c@d:e%f", "100%,sure", "%zz@@::", "comma,only", "slash/only", "at@only", "50%25"];
  await using server = await startNatsServer({
    config: {
      authorization: { users: passwords.map((password, index) => ({ user: `u${index}`, password })) },
    },
  });
  const withPassword = (user: string, password: string): string =>
    server.url.replace("://", `://${user}:${password}@`);
  for (const [index, password] of passwords.entries()) {
    const user = `u${index}`;
    const urls: (string | string[])[] = [
      withPassword(user, encodeURIComponent(password)),
      [withPassword(user, encodeURIComponent(password)), "nats://127.0.0.1:1"],
      `nats://127.0.0.1:1,${withPassword(user, encodeURIComponent(password))}`,
    ];
    // As it is, it may also be an escape.
    if (password !== "50%25") urls.push(withPassword(user, password));
    for (const url of urls) {
      if (url === withPassword(user, password) && password.includes("@") && password.includes(",")) {
        // It may as well be two servers.
        assert(await refusal(url, {}, [password]) instanceof InvalidArgumentError);
      } else await (await connectTo(url)).close();
    }
    await (await connectTo(server.url, { user, pass: password })).close();
    const wrong = `${password}-and-some-more`;
    assertReason(
      await refusal(withPassword(user, encodeURIComponent(wrong)), {}, [wrong, encodeURIComponent(wrong)]),
      "denied",
      /refused the credentials/,
    );
  }
  const secret = "a-long-secret";
  for (
    const url of [
      `http://u:${secret}@127.0.0.1`,
      `nats://u:${secret}@`,
      `127.0.0.1:1,u:${secret}@127.0.0.1:2`,
      `u:${secret}@127.0.0.1:1,u:${secret}@127.0.0.1:2`,
      `nats://u:${secret}@127.0.0.1:bad`,
    ]
  ) {
    assert(await refusal(url, {}, [secret]) instanceof InvalidArgumentError, url.replace(secret, "..."));
  }
  assertReason(
    await refusal(`nats://u:${secret}@127.0.0.1:1`, {}, [secret]),
    "unreachable",
    /127\.0\.0\.1:1/,
  );
});
