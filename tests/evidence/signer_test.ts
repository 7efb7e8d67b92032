/** Keys and signatures, in the forms that other programs use. */

import assert from "node:assert/strict";
import { generateSealKey, InvalidArgumentError, type SignerSource } from "../../src/evidence/mod.ts";
import { openSigner, readPublicKey } from "../../src/evidence/signer.ts";

// Made by Go's note.GenerateKey.
const GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

Deno.test("openSigner() reads a key that Go made, and signs for its public key", async () => {
  const signer = await openSigner({ key: GO_PRIVATE }, "signer");
  const signature = await signer.sign("text\n", 0);
  assert.equal(readPublicKey(GO_PUBLIC, "key").verify("text\n", signature), true);
  assert.equal(readPublicKey(GO_PUBLIC, "key").verify("texu\n", signature), false);
});

Deno.test("openSigner() takes the key from a file, the environment, a text or a function", async () => {
  const { privateKey, publicKey } = generateSealKey("example.com/orders");
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, privateKey + "\n");
  Deno.env.set("AETHER_TEST_SEAL_KEY", privateKey);
  const own = await openSigner({ key: privateKey }, "signer");
  const sources: SignerSource[] = [
    { file },
    { env: "AETHER_TEST_SEAL_KEY" },
    { key: privateKey },
    { publicKey, sign: (bytes) => own.sign(new TextDecoder().decode(bytes), 0) },
  ];
  try {
    for (const source of sources) {
      const signature = await (await openSigner(source, "signer")).sign("text\n", 0);
      assert.equal(readPublicKey(publicKey, "key").verify("text\n", signature), true);
    }
  } finally {
    Deno.env.delete("AETHER_TEST_SEAL_KEY");
    await Deno.remove(file);
  }
});

Deno.test("a cosigner's signature is bound to its time", async () => {
  const { privateKey, publicKey } = generateSealKey("witness.example", { cosigner: true });
  const signature = await (await openSigner({ key: privateKey }, "signer")).sign("text\n", 1_700_000_000_999);
  const key = readPublicKey(publicKey, "key");
  assert.equal(key.verify("text\n", signature), true);
  assert.equal(new DataView(signature.buffer).getBigUint64(0), 1_700_000_000n);
  signature[7]! ^= 1;
  assert.equal(key.verify("text\n", signature), false);
});

Deno.test("openSigner() refuses what is no key, without repeating a secret", async () => {
  const { privateKey, publicKey } = generateSealKey("example.com/orders");
  const other = generateSealKey("example.com/orders");
  const signer = await openSigner({ key: privateKey }, "signer");
  const sources: unknown[] = [
    undefined,
    "key",
    {},
    { file: "/no/such/file" },
    { env: "AETHER_NO_SUCH_VARIABLE" },
    { env: "" },
    { file: 5 },
    { key: undefined },
    { key: publicKey },
    { key: privateKey.slice(0, -4) },
    { key: privateKey.replace("orders", "others") },
    { publicKey: privateKey, sign: () => new Uint8Array(64) },
    { publicKey, sign: 5 },
  ];
  for (const source of sources) {
    await assert.rejects(openSigner(source as SignerSource, "signer"), (error) => {
      assert(error instanceof InvalidArgumentError);
      return !error.message.includes(privateKey.slice(-20));
    });
  }
  const wrong = await openSigner({
    publicKey: other.publicKey,
    sign: (bytes) => signer.sign(new TextDecoder().decode(bytes), 0),
  }, "signer");
  await assert.rejects(wrong.sign("text\n", 0), InvalidArgumentError);
  const none = await openSigner({ publicKey, sign: () => "signature" as unknown as Uint8Array }, "signer");
  await assert.rejects(none.sign("text\n", 0), InvalidArgumentError);
});

Deno.test("generateSealKey() refuses a name that a note cannot have", () => {
  for (const name of ["", "a b", "a+b", "a\nb", "x".repeat(257), "\ud800", 5 as unknown as string]) {
    assert.throws(() => generateSealKey(name), InvalidArgumentError);
  }
});
