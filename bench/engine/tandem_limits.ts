/** Room for 32 sequences of 256 tokens, and for half as many tokens again in other prompts. */
export const limits = { tokens: 512, sequences: 32, pages: 768, pageSize: 16 } as const;
