import { describe, expect, it } from "vitest";

import { about, age, count, dollars, duration, percent, plural } from "../src/words.js";

const THIN = "\u202f";

describe("numbers in words", () => {
  it.each([
    [0, "0"],
    [999, "999"],
    [1000, `1${THIN}000`],
    [1234567, `1${THIN}234${THIN}567`],
  ])("groups the digits of %i", (number, words) => {
    expect(count(number)).toBe(words);
  });

  it("says 100 % only of all, and 0 % only of none", () => {
    expect(percent(999, 1000)).toBe(`99${THIN}%`);
    expect(percent(1, 1000)).toBe(`<1${THIN}%`);
    expect(percent(0, 1000)).toBe(`0${THIN}%`);
    expect(percent(1000, 1000)).toBe(`100${THIN}%`);
  });

  it.each([
    [0.44, "0.4 s"],
    [59.6, "1 min 00 s"],
    [185, "3 min 05 s"],
    [8040, "2 h 14 min"],
    [273600, "3 d 04 h"],
  ])("gives a duration of %d s in its two largest units", (seconds, words) => {
    expect(duration(seconds)).toBe(words);
  });

  it.each([
    [4, "a few seconds"],
    [41, "≈ 40 s"],
    [200, "≈ 3 min"],
    [9000, "≈ 2.5 h"],
    [200_000, "≈ 2 d"],
  ])("gives a forecast of %d s in few digits", (seconds, words) => {
    expect(about(seconds)).toBe(words);
  });

  it("gives an age in one unit", () => {
    expect([age(-1), age(30), age(130), age(7300), age(200_000)]).toEqual(["0 s", "30 s", "2 min", "2 h", "2 d"]);
  });

  it.each([
    [0, "$0.00"],
    [3, "<$0.0001"],
    [1234, "$0.0012"],
    [5_000_000, "$5.00"],
    [1_234_500_000, `$1${THIN}234.50`],
  ])("gives %i micro-dollars as money", (micros, words) => {
    expect(dollars(micros)).toBe(words);
  });

  it("counts one thing in the singular", () => {
    expect([plural(1, "worker"), plural(2, "worker")]).toEqual(["1 worker", "2 workers"]);
  });
});
