/** Tokens of a GGUF vocabulary with a part of their own. */
import { TextError } from "../errors.ts";
import { quote } from "../../quote.ts";
import { type GgufVocabulary, TOKEN_TYPE } from "./schema.ts";

/** Tokens that stand for themselves in a text: control, unknown and user-defined ones. */
export function addedTokens({ tokens, token_type: types }: GgufVocabulary): object[] {
  const special: number[] = [TOKEN_TYPE.control, TOKEN_TYPE.unknown];
  return tokens.flatMap((content, id) => {
    const type = types?.[id] ?? 1;
    if (content === "" || (type !== TOKEN_TYPE.userDefined && !special.includes(type))) return [];
    return [{ id, content, special: special.includes(type), normalized: false }];
  });
}

/** The token of what the vocabulary lacks. */
export function unknownId(
  { token_type: types, unknown_token_id: stated }: GgufVocabulary,
): number | undefined {
  const first = types?.indexOf(TOKEN_TYPE.unknown) ?? -1;
  return stated ?? (first < 0 ? undefined : first);
}

/** The tokens that frame an encoded text, where it is framed. */
export interface Frames {
  readonly bos?: number;
  readonly eos?: number;
}

/** The frames that the file states; `addsBos` holds where it does not. */
export function framesOf(vocabulary: GgufVocabulary, addsBos: boolean): Frames {
  const { bos_token_id: bos, eos_token_id: eos } = vocabulary;
  return {
    ...(vocabulary.add_bos_token ?? addsBos) && bos !== undefined && { bos },
    ...vocabulary.add_eos_token === true && eos !== undefined && { eos },
  };
}

/** A post-processor that frames texts; `null` for none. Throws {@link TextError} `InvalidTokenizer`. */
export function postProcessor({ tokens }: GgufVocabulary, { bos, eos }: Frames): object | null {
  const mark = (id: number | undefined) => {
    if (id === undefined) return [];
    const token = tokens[id];
    if (token !== undefined) return [{ id, token }];
    const sizes = `${quote(id)} of ${tokens.length} tokens`;
    throw new TextError("InvalidTokenizer", `Cannot find token that frames a text: ${sizes}`);
  };
  const [first, last] = [mark(bos), mark(eos)];
  if (first.length + last.length === 0) return null;
  const special = ({ token }: { token: string }) => ({ SpecialToken: { id: token, type_id: 0 } });
  const sequence = (id: string, type_id: number) => ({ Sequence: { id, type_id } });
  return {
    type: "TemplateProcessing",
    single: [...first.map(special), sequence("A", 0), ...last.map(special)],
    pair: [sequence("A", 0), sequence("B", 1)],
    special_tokens: Object.fromEntries(
      [...first, ...last].map((
        { id, token },
      ) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}
