// Frames to draw: a running job of a hundred tasks, and what differs from it.

import type { Frame } from "../src/frame.js";
import type { Link } from "../src/host.js";

export const NOW = 1_800_000_000;

export const KERNEL: Link = { from: "kernel", seen: NOW * 1000, problem: "", ahead: 0 };

/** A job at `NOW`, 40 s after its start, half done. */
export function frameOf(changes: Partial<Frame> = {}): Frame {
  return {
    version: 1,
    session: "20261121-101828-5cj77ijt",
    job: "0",
    title: "settle",
    out: "points",
    launcher: "fargate",
    at: NOW,
    created: NOW - 40,
    ended: null,
    deadline: NOW + 86400,
    phase: "running",
    end: "",
    state: "running",
    progress: "52 %",
    forecast: NOW + 38,
    counts: { total: 100, pending: 46, running: 2, completed: 50, failed: 2, not_run: 0, reused: 0 },
    tasks: { size: 1, cells: "c50f2r2p46" },
    money: { priced: true, free: false, at: NOW, spent: 120_000, hourly: 360_000, job: null, estimate: null, budget: 5_000_000, fargate: 0, fargate_hourly: 0 },
    workers: { wanted: 2, started: 2, alive: 2, coming: [], lost: "", refused: "" },
    waiting: null,
    stale: null,
    longest: null,
    attach: "%burst_attach 20261121-101828-5cj77ijt",
    revisions: { failures: "a", output: "b" },
    failures: {
      groups: [{ id: "g", kind: "raised", type: "ValueError", line: 2, message: "no fixed point", count: 2, messages: 1, first: 17 }],
      more: 0,
      more_tasks: 0,
      unread: "",
    },
    output: { lines: [] },
    ...changes,
  };
}
