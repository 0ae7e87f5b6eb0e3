/** What clients may ask: bodies checked and turned into jobs. */
export { chatParser } from "./chat.ts";
export { completionParser } from "./completion.ts";
export { type Job, type RequestLimits, shiftSeed } from "./shared.ts";
