/**
 * Runs Tessera's `fsck`. It is named by its path: the program of this name on the PATH of most machines checks file systems.
 *
 * @module
 */

/** Checks the seal in a folder, and returns what is to be shown. */
export async function fsck(
  program: string | undefined,
  folder: string,
  origin: string,
  publicKeyFile: string,
): Promise<string> {
  if (program === undefined) return "not run, because its path is not given";
  const path = await Deno.realPath(folder);
  // With one worker it does not end after some faults.
  const args = ["-N", "4", "--ui=false", `--storage_url=file://${encodeURI(path)}/`, `--origin=${origin}`];
  const { stderr } = await new Deno.Command(program, { args: [...args, `--public_key=${publicKeyFile}`] })
    .output();
  // Its exit code is 0 in every case.
  const output = new TextDecoder().decode(stderr);
  return output.includes("Successfully fsck'd") ? "accepted" : `refused: ${output}`;
}
