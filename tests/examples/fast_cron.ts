/** Imported before a function: its cron jobs run ten times a second instead of once a minute. */

const PERIOD = 100;

Object.defineProperty(Deno, "cron", {
  value: (_name: string, _schedule: string, job: () => Promise<void>): void => {
    const run = async (): Promise<void> => {
      await job();
      setTimeout(run, PERIOD);
    };
    setTimeout(run, PERIOD);
  },
});
