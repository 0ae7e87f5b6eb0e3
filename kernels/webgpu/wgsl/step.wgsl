// What differs from run to run.
struct Step {
  tokens: u32,
  samples: u32,
}
@group(0) @binding(0) var<uniform> step: Step;
