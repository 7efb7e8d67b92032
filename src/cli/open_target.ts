/**
 * Opens what a command works on.
 *
 * @module
 */

import { DEFAULT_LOG } from "./defaults.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import type { Access, Target } from "./target.ts";
import { shownTarget } from "./secrets.ts";

const NATS = /^(nats|tls|wss?):\/\//;

/** Whether a target is a NATS server, or several. */
export function isNats(target: string): boolean {
  return NATS.test(target);
}

/**
 * Opens a target.
 *
 * @throws {CommandFailure} If there is no such file.
 */
export async function openTarget(target: string, access: Access): Promise<Target> {
  if (access.namespace !== DEFAULT_LOG.namespace) await checkNamespace(access.namespace);
  if (isNats(target)) return await (await import("./nats_target.ts")).openNatsTarget(target, access);
  if (target === "" || target.startsWith("-") || target === ":memory:") throw noTarget(target);
  if (/^(?!https?:)[a-z][a-z0-9+.-]+:\/\//i.test(target)) throw noTarget(target);
  return await (await import("./kv_target.ts")).KvTarget.open(target, access);
}

/** @throws {CommandFailure} If no namespace has such a name. */
async function checkNamespace(namespace: string): Promise<void> {
  const { validateNamespace } = await import("../event/namespace.ts");
  try {
    validateNamespace(namespace);
  } catch (cause) {
    throw new CommandFailure(`--${(cause as Error).message}.`, ExitCode.misused);
  }
}

function noTarget(target: string): CommandFailure {
  return new CommandFailure(
    `"${
      shownTarget(target)
    }" is no target: name a file of Deno KV, or a NATS server such as nats://127.0.0.1:4222.`,
    ExitCode.misused,
  );
}
