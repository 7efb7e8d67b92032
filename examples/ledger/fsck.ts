/**
 * Runs Tessera's `fsck`, if it is installed.
 *
 * @module
 */

/** Checks the seal in a folder, and returns what is to be shown. */
export async function fsck(folder: string, origin: string, publicKeyFile: string): Promise<string> {
  const path = await Deno.realPath(folder);
  // With one worker it does not end after some faults.
  const args = ["-N", "4", "--ui=false", `--storage_url=file://${encodeURI(path)}/`, `--origin=${origin}`];
  try {
    const { stderr } = await new Deno.Command("fsck", { args: [...args, `--public_key=${publicKeyFile}`] })
      .output();
    // Its exit code is 0 in every case.
    const output = new TextDecoder().decode(stderr);
    return output.includes("Successfully fsck'd") ? "accepted" : `refused: ${output}`;
  } catch (error) {
    // Without the program, there is nothing that the permission could be for.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) {
      return "not installed";
    }
    throw error;
  }
}
