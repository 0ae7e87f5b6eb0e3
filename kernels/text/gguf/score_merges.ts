import { TextError } from "../errors.ts";

const MAX_WORK = 1 << 30;

/**
 * The merges of a SentencePiece vocabulary, first to apply first: every way to put a token together from two
 * others, by falling score of the token, then by the ids of the two. `scores` has one entry a token. Throws
 * {@link TextError} `InvalidTokenizer` for tokens so long that listing their cuts would not end.
 */
export function mergesByScore(
  tokens: readonly string[],
  scores: readonly number[],
  isMergeable: (id: number) => boolean,
): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  checkWork(tokens);
  const merges: { pair: [string, string]; score: number; left: number; right: number }[] = [];
  for (const [token, id] of ids) {
    if (!isMergeable(id)) continue;
    for (let cut = 1; cut < token.length; cut++) {
      const pair: [string, string] = [token.slice(0, cut), token.slice(cut)];
      const left = ids.get(pair[0]);
      const right = ids.get(pair[1]);
      if (left === undefined || right === undefined) continue;
      if (isMergeable(left) && isMergeable(right)) {
        merges.push({ pair, score: scores[id]!, left, right });
      }
    }
  }
  merges.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right);
  return merges.map(({ pair }) => pair);
}

function checkWork(tokens: readonly string[]): void {
  const work = tokens.reduce((sum, { length }) => sum + length * length, 0);
  if (work <= MAX_WORK) return;
  const longest = tokens.reduce((most, { length }) => Math.max(most, length), 0);
  throw new TextError(
    "InvalidTokenizer",
    `Cannot find merges of tokens as long as ${longest} characters: ${tokens.length} tokens`,
  );
}
