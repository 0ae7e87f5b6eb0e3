/** Progress on standard error: one line rewritten on a terminal, one line every tenth elsewhere. */
export function progressLine(total: number): (label: string, done: number) => void {
  const isTerminal = Deno.stderr.isTerminal();
  const encoder = new TextEncoder();
  let lastTenth = -1;
  return (label, done) => {
    const text = `${label}: ${done} of ${total}`;
    const tenth = Math.floor(10 * done / total);
    if (isTerminal) Deno.stderr.writeSync(encoder.encode(`\r${text}${done === total ? "\n" : ""}`));
    else if (tenth !== lastTenth) console.error(text);
    lastTenth = tenth;
  };
}
