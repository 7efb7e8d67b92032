/** What each program pays for: the runtime, and the configuration of the folder. */

export {};
