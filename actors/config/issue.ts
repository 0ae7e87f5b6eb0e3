import type { z } from "zod";

/** A step into a value: a field's name or an index. */
export type PathStep = string | number;

/** One thing wrong with a value. */
export interface Issue {
  /** Where, from the root. */
  readonly path: readonly PathStep[];
  /** What must be so, such as `must be at least 1`. */
  readonly rule: string;
  /** The value in short. */
  readonly shown: string;
}

const longestShown = 60;

/** A value in one short line; long strings are cut, lists and objects only named. */
export function showValue(value: unknown): string {
  if (typeof value === "string") {
    const cut = value.length > longestShown;
    return JSON.stringify(cut ? value.slice(0, longestShown) : value) + (cut ? "…" : "");
  }
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return value.length === 0 ? "empty list" : `list of ${value.length}`;
  return typeof value === "object" && value !== null ? "object" : String(value);
}

/** A path as a reader writes it: `families[0].levels[1].replicas`; odd field names are cut and quoted. */
export function showPath(path: readonly PathStep[]): string {
  return path.map((step, index) => {
    if (typeof step === "number") return `[${step}]`;
    if (!/^[\w$-]{1,60}$/.test(step)) return `[${showValue(step)}]`;
    return index === 0 ? step : `.${step}`;
  }).join("");
}

/** An issue as one line: path, rule, colon, value. */
export function showIssue(issue: Issue): string {
  return `${showPath(issue.path)} ${issue.rule}: ${issue.shown}`.trimStart();
}

/** The first thing that a zod schema (by its error) finds wrong with `root`. */
export function firstIssue(error: { readonly issues: readonly unknown[] }, root: unknown): Issue {
  return explain(error.issues[0] as z.core.$ZodIssue, root);
}

function explain(issue: z.core.$ZodIssue, root: unknown): Issue {
  const path = issue.path.filter((step) => typeof step !== "symbol");
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0] ?? "";
    return { path: [...path, key], rule: "is not a known field", shown: showValue(key) };
  }
  if (issue.code === "invalid_union") {
    const inner = likeliest(issue.errors, root, path);
    if (inner !== null) return explain({ ...inner, path: [...path, ...inner.path] }, root);
  }
  const value = at(root, path);
  return { path, rule: value === undefined ? "is required" : rule(issue), shown: showValue(value) };
}

/** The only branch of a union whose type matched, if there is one: its issue says more than "a or b". */
function likeliest(
  branches: readonly (readonly z.core.$ZodIssue[])[],
  root: unknown,
  path: readonly PathStep[],
): z.core.$ZodIssue | null {
  const fits = branches.filter((issues) => {
    const first = issues[0];
    return first !== undefined && !(first.code === "invalid_type" && first.path.length === 0);
  });
  if (at(root, path) === undefined || fits.length !== 1) return null;
  return fits[0]![0]!;
}

function rule(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${article(issue.expected)}`;
    case "too_small":
      return bound(issue.origin, "at least", issue.minimum, issue.inclusive === false);
    case "too_big":
      return bound(issue.origin, "at most", issue.maximum, issue.inclusive === false);
    case "invalid_value":
      return issue.values.length === 1
        ? `must be ${show(issue.values[0])}`
        : `must be one of ${issue.values.map(show).join(", ")}`;
    case "invalid_union":
      return `must be ${kinds(issue.errors)}`;
    case "custom":
    case "invalid_format":
      return issue.message;
    default:
      return "is not valid";
  }
}

function bound(origin: string, side: string, limit: number | bigint, strict: boolean): string {
  if (strict) return `must be ${side === "at least" ? "more" : "less"} than ${limit}`;
  if (origin === "array") return `must hold ${side} ${limit} item${limit === 1 ? "" : "s"}`;
  if (origin === "string") return `must have ${side} ${limit} character${limit === 1 ? "" : "s"}`;
  return `must be ${side} ${limit}`;
}

function kinds(branches: readonly (readonly z.core.$ZodIssue[])[]): string {
  const names = branches.flat().flatMap((issue) =>
    issue.code === "invalid_type" && issue.path.length === 0 ? [article(issue.expected)] : []
  );
  return [...new Set(names)].join(" or ") || "of another form";
}

function article(type: string): string {
  const names: Readonly<Record<string, string>> = {
    int: "a whole number",
    array: "a list",
    record: "an object",
    object: "an object",
    boolean: "true or false",
    null: "null",
  };
  return names[type] ?? `a ${type}`;
}

function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function at(root: unknown, path: readonly PathStep[]): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) {
      return undefined;
    }
    value = (value as Record<PathStep, unknown>)[step];
  }
  return value;
}
