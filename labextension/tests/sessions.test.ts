import { describe, expect, it } from "vitest";

import type { ListedJobState, ListedState, Money, SessionList } from "../src/frame.js";
import { accountWords, elsewhere, endedSince, rowOf, totalOf } from "../src/sessions.js";
import { frameOf, NOW } from "./frames.js";

const SID = "20261121-101828-5cj77ijt";
const MONEY: Money = { ...frameOf().money, budget: 5_000_000 };

function job(changes: Partial<ListedJobState> = {}): ListedJobState {
  return {
    job: "0",
    title: "settle",
    out: "points",
    state: "running",
    phase: "running",
    total: 100,
    done: 52,
    failed: 2,
    created: NOW - 40,
    ended: null,
    attach: `%burst_attach ${SID}`,
    ...changes,
  };
}

function listed(changes: Partial<ListedState["session"]> = {}, rest: Partial<ListedState> = {}): ListedState {
  const session = {
    id: SID,
    name: "settle",
    created: NOW - 40,
    last_activity: NOW,
    total: 100,
    pending: 46,
    running: 2,
    completed: 50,
    failed: 2,
    cost: null,
    launcher: "fargate",
    region: "",
    state: "running",
    notebook: "/somewhere/bench.ipynb",
    problem: "",
    ...changes,
  };
  return { session, jobs: [job()], money: MONEY, workers: 0, mine: true, as_of: NOW, ...rest };
}

function listOf(...sessions: ListedState[]): SessionList {
  return { store: "file:///store", sessions, unread: 0, more: 0, problem: "", context: "", way_out: "", account: null };
}

const FINISHED = { state: "finished", completed: 98, running: 0, pending: 0 };
const DONE = [job({ state: "finished", phase: "finished", ended: NOW, done: 100 })];

describe("a row of the list", () => {
  it("says the state in words, the progress, the money as it is now, and what can be done", () => {
    const row = rowOf(listed(), NOW + 3600);
    expect([row.title, row.state, row.percent, row.counts]).toEqual(["settle", "Running", "52\u202f%", "52 of 100 · 2 running · 2 failed"]);
    expect(row.money).toBe("$0.48 / $5.00");
    expect([row.attachOff, row.stopOff, row.deleteOff]).toEqual(["", "", "stop it first: what runs is not deleted"]);
  });

  it("has segments that add up to its tasks", () => {
    for (const each of [listed(), listed(FINISHED, { jobs: DONE }), listed({ total: 0, completed: 0, failed: 0, running: 0, pending: 0 })]) {
      const row = rowOf(each, NOW);
      expect(row.segments.reduce((sum, { count }) => sum + count, 0)).toBe(row.total);
    }
  });

  it("says in a word that it is past its budget, and never before", () => {
    const money = { ...MONEY, spent: 4_999_000, hourly: 3600 };
    expect(rowOf(listed({}, { money }), NOW)).toMatchObject({ overBudget: false, money: "$5.00 / $5.00" });
    expect(rowOf(listed({}, { money }), NOW + 3600)).toMatchObject({ overBudget: true, money: "$5.00 / $5.00 · over budget" });
    expect(rowOf(listed({}, { money: { ...money, free: true } }), NOW + 3600).overBudget).toBe(false);
  });

  it("can be cleaned up once it has ended, and not be stopped any more", () => {
    const row = rowOf(listed(FINISHED, { jobs: DONE }), NOW);
    expect([row.stopOff, row.deleteOff]).toEqual(["nothing to stop: finished", ""]);
  });

  it("can be stopped, and is counted where that costs, while its workers are kept after its jobs", () => {
    const kept = listed(FINISHED, { jobs: DONE, workers: 2 });
    const row = rowOf(kept, NOW);
    expect([row.stopOff, row.money]).toEqual(["", "$0.12 / $5.00 · 2 workers kept"]);
    expect(totalOf(listOf(kept), NOW).words).toBe("1 burst · $0.12");
    const until = NOW + 600;
    const paid = { ...kept, money: { ...MONEY, kept: { count: 2, hourly: 360_000, until } } };
    expect(rowOf(paid, NOW + 300).money).toBe("$0.15 / $5.00 · 2 workers kept, $0.36 an hour");
    expect(totalOf(listOf(paid), until + 6000).words).toBe("1 burst · $0.18");
    const free = { ...MONEY, free: true };
    expect(totalOf(listOf({ ...kept, money: free }), NOW).running).toBe(0);
  });

  it("says why nothing can be asked of it without its key, and still can be opened and attached to", () => {
    const row = rowOf(listed({}, { mine: false }), NOW);
    expect(row.stopOff).toContain(`burst key show ${SID}`);
    expect([row.attachOff, row.job]).toEqual(["", "0"]);
  });

  it("that cannot be read says so, and how to be rid of it", () => {
    const row = rowOf(listed({ problem: "damaged", total: 0, state: "" }, { jobs: [], money: null, mine: false }), NOW);
    expect([row.state, row.counts, row.job]).toEqual(["Unreadable", "damaged", ""]);
    expect(row.deleteOff).toContain("--force deletes it");
    expect(row.stopOff).toContain(`burst cancel ${SID}`);
  });

  it("of several jobs tells the state of the one that runs, and names them all", () => {
    const jobs = [job({ title: "first" }), job({ job: "1", title: "second", state: "finished", phase: "finished", ended: NOW })];
    const row = rowOf(listed({ name: "" }, { jobs }), NOW);
    expect([row.title, row.state, row.job]).toEqual(["second and 1 more job", "Running", "1"]);
    expect(rowOf(listed({ name: "quickstart" }, { jobs }), NOW).title).toBe("quickstart"); // as burst sessions says
    expect(row.jobs.map(({ words }) => words)).toEqual(["first: running, 52 of 100", "second: finished, 52 of 100"]);
  });
});

describe("the total of what runs", () => {
  it("is nothing without a list, or when nothing runs", () => {
    expect(totalOf(null, NOW).running).toBe(0);
    expect(totalOf(listOf(listed(FINISHED, { jobs: DONE })), NOW).running).toBe(0);
  });

  it("counts sessions and adds what they have cost by now", () => {
    const total = totalOf(listOf(listed(), listed({ id: "20261121-101829-5cj77ijt" }), listed(FINISHED)), NOW + 3600);
    expect(total).toMatchObject({ running: 2, words: "2 bursts · $0.96", overBudget: false });
  });

  it("says in a word that one is past its budget", () => {
    const over = listed({}, { money: { ...MONEY, spent: 6_000_000, hourly: 0 } });
    expect(totalOf(listOf(listed(), over), NOW)).toMatchObject({ words: "2 bursts · $6.12 · over budget", overBudget: true });
  });

  it("names no money where workers are free, and says of how many the price is not known", () => {
    const free = listed({}, { money: { ...MONEY, free: true } });
    const unknown = listed({}, { money: { ...MONEY, priced: false } });
    expect(totalOf(listOf(free), NOW).words).toBe("1 burst");
    expect(totalOf(listOf(unknown), NOW).title).toContain("of 1 session nobody knows the price");
  });
});

describe("what has ended", () => {
  const before = listOf(listed());

  it("is told of once, with how it went", () => {
    const after = listOf(listed({ ...FINISHED, completed: 100, failed: 0 }, { jobs: DONE }));
    expect(endedSince(before, after)).toEqual([{ id: SID, job: "0", failed: false, words: "settle finished: 100 of 100" }]);
    expect(endedSince(after, after)).toEqual([]);
  });

  it("is named a failure if tasks failed or it was cut short", () => {
    expect(endedSince(before, listOf(listed(FINISHED, { jobs: DONE })))[0]).toMatchObject({ failed: true, words: "settle finished: 100 of 100 · 2 failed" });
    const cancelled = [job({ state: "cancelled", phase: "ended", ended: NOW })];
    const after = listOf(listed({ state: "cancelled", failed: 0, running: 0 }, { jobs: cancelled }));
    expect(endedSince(before, after)[0]).toMatchObject({ failed: true, words: "settle ended (cancelled): 50 of 100" });
  });

  it("is not what had ended before this page looked, was deleted, or still runs", () => {
    expect(endedSince(null, listOf(listed(FINISHED, { jobs: DONE })))).toEqual([]);
    expect(endedSince(before, listOf())).toEqual([]);
    expect(endedSince(before, before)).toEqual([]);
  });
});

describe("what runs in the account", () => {
  const there = { id: "20270101-000000-aaaaaaaa", owner: "ada", workers: 2, launcher: "spot", since: NOW - 7200, at: NOW, spent: 10_000, hourly: 40_000 };

  it("is listed apart if the store does not have it", () => {
    const account = { region: "eu-central-1", sessions: [there, { ...there, id: SID }], problem: "", way_out: "" };
    expect(elsewhere({ ...listOf(listed()), account })).toEqual([there]);
    expect(elsewhere(listOf(listed()))).toEqual([]);
  });

  it("is told of in words", () => {
    expect(accountWords(there, NOW + 3600)).toBe("2 workers · spot · $0.05 · 3 h old · started by ada");
    expect(accountWords({ ...there, spent: null, owner: "" }, NOW)).toBe("2 workers · spot · cost unknown · 2 h old");
  });
});
