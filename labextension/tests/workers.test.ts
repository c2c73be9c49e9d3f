import { describe, expect, it } from "vitest";

import { isDue } from "../src/workers.js";

describe("the list of workers", () => {
  it("is read at once, and again after five seconds while the job runs", () => {
    expect(isDue({ at: 0, over: false }, false, 100)).toBe(true);
    expect(isDue({ at: 100, over: false }, false, 5_000)).toBe(false);
    expect(isDue({ at: 100, over: false }, false, 5_101)).toBe(true);
  });

  it("is read once more when the job is over, and not again", () => {
    expect(isDue({ at: 100, over: false }, true, 101)).toBe(true);
    expect(isDue({ at: 101, over: true }, true, 99_999)).toBe(false);
    expect(isDue({ at: 0, over: false }, true, 100)).toBe(true);
  });
});
