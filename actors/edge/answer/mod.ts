/** What clients are answered: generations run, gathered or streamed, in OpenAI's forms. */
export { chatForm, type Form, textForm } from "./form.ts";
export { gather, type Indexed, run } from "./run.ts";
export { eventStream } from "./sse.ts";
export { type Frame, routeHeaders, writeAnswers, writeStream } from "./write.ts";
