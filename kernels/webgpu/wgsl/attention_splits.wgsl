// How the context of a token is split over workgroups; attention.ts counts the same.

// Parts for each token of a step.
fn splits() -> u32 {
  return clamp(SPLIT_GROUPS / (step.tokens * HEAD_BLOCKS), 1, MAX_SPLITS);
}

// Keys of each part, in whole rounds; the last may have fewer, and some parts none.
fn part_keys(length: u32) -> u32 {
  let rounds = (length + ROUND_KEYS - 1) / ROUND_KEYS;
  return max((rounds + splits() - 1) / splits(), MIN_ROUNDS) * ROUND_KEYS;
}
