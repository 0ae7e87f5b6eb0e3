// Rows of K floats, four elements at a time; beyond a row there are zeros.
#if K % 4 == 0
@group(0) @binding(2) var<storage, read> x: array<vec4f>;

fn x4(row: u32, index: u32) -> vec4f {
#if PADDED == K
  return x[row * (K / 4) + index];
#else
  return select(vec4f(), x[row * (K / 4) + index], index < K / 4);
#endif
}
#else
@group(0) @binding(2) var<storage, read> x: array<f32>;

fn x4(row: u32, index: u32) -> vec4f {
  let column = 4u * vec4u(index) + vec4u(0u, 1u, 2u, 3u);
  let at = row * K + column;
  return select(vec4f(), vec4f(x[at.x], x[at.y], x[at.z], x[at.w]), column < vec4u(K));
}
#endif
