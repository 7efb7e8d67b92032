/**
 * Ends this process when the one that started it is gone, however that ended: nothing else holds the other end of its
 * standard input.
 */
export function endWithParent(): void {
  void (async (): Promise<void> => {
    for await (const _ of Deno.stdin.readable);
    Deno.exit(1);
  })();
}
