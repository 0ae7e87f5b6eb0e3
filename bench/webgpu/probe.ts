/** A backend that remembers its last run, so that the bench can profile what a model runs. */
import type { Backend, Counts, Program } from "../../kernels/mod.ts";

/** A program and the counts that it ran with. */
export interface Run {
  readonly program: Program;
  readonly counts: Counts;
}

/** `backend` with a memory of its last run. */
export function probed<B extends Backend>(backend: B): { backend: B; last: () => Run } {
  let last: Run | undefined;
  const run = (program: Program, counts: Counts) => {
    last = { program, counts };
    return backend.run(program, counts);
  };
  const probe = new Proxy(backend, {
    get(target, name) {
      if (name === "run") return run;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return {
    backend: probe,
    last: () => {
      if (!last) throw new Error("Cannot profile a backend that ran nothing");
      return last;
    },
  };
}
