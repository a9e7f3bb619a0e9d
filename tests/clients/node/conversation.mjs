// A client of these tests: what it is told comes as its first argument, its person's browser is whoever started it.

import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const told = JSON.parse(process.argv[2]);

/** Has an address opened in the browser; gives the address that the browser is sent back to. */
export async function opened(address) {
  console.log(JSON.stringify({ open: String(address) }));
  return new URL((await lines.next()).value);
}

/** The end: what this client saw. */
export function saw(what) {
  console.log(JSON.stringify({ saw: what }));
  process.exit(0);
}

/** What became of a promise that should be refused: the error's OAuth code. */
export function refusal(promise) {
  return promise.then(
    () => "accepted",
    (error) => error.error ?? error.code,
  );
}
