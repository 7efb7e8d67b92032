/**
 * How a command ends.
 *
 * @module
 */

/** The exit codes of the command line. */
export const ExitCode = {
  /** It did what was asked. */
  done: 0,
  /** It could not be done, as the message explains. */
  failed: 1,
  /** The command line is wrong. */
  misused: 2,
  /** What was asked for does not exist, or something was found to be wrong. */
  found: 3,
  /** It was interrupted: 128 and the number of the signal, as shells count. */
  interrupted: 130,
  /** The reader of its output reads no more. */
  outputClosed: 141,
} as const;

/** Any of the exit codes. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** A command cannot be done. Its message is all that is printed. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = ExitCode.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}
