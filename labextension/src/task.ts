// One task that has ended: its worker, duration, traceback, what it displayed and printed, fetched when asked for.

import { displayed } from "./displays.js";
import { make, scrolled } from "./dom.js";
import { copyButton } from "./facts.js";
import type { Frame, TaskDetail } from "./frame.js";
import { inWords, type Answer, type Host } from "./host.js";
import { count, duration } from "./words.js";

/** A node that shows a task. Foreign text is text. */
export async function taskDetails(host: Host, task: number): Promise<HTMLElement> {
  const answer = (await host.ask("task", { task })) as Answer<TaskDetail>;
  const node = make("div", "bv-task-details");
  if (answer.problem !== undefined) {
    node.append(make("p", "bv-trouble", inWords(answer)));
    return node;
  }
  const facts = make("dl", "bv-facts");
  for (const [label, text] of taskFacts(answer.ok)) facts.append(make("dt", "", label), make("dd", "", text));
  node.append(facts);
  const frame = host.frame();
  if (frame) node.append(copyButton(() => linesFor(frame, task), `lines that bring the item of task ${task} here`, "Copy lines to run it here"));
  const add = (label: string, text: string): void => {
    if (text) node.append(scrolled(text, `${label} of task ${task}`));
  };
  add("Traceback", answer.ok.traceback);
  node.append(...answer.ok.displays.map((each) => displayed(each, task)));
  add("Output", answer.ok.output);
  return node;
}

/** Lines for a cell of any kernel that bring a task's item there. */
export function linesFor(frame: Frame, task: number): string {
  const lines = [
    "import burst_magic",
    `item = burst_magic.attach("${frame.session}/${frame.job}").items()[${task}]`,
    "item  # in the next cell, run the code of the %%burst cell without its first line",
  ];
  return lines.join("\n");
}

function taskFacts(detail: TaskDetail): [string, string][] {
  const facts: [string, string][] = [
    ["Task", count(detail.task)],
    ["Item", detail.item],
    ["Failed", detail.kind ? [detail.type || detail.kind, detail.message.split("\n")[0]].filter(Boolean).join(": ") : ""],
    ["Line", detail.line === null ? "" : `${detail.line} of the cell`],
    ["Worker", detail.worker],
    ["Took", detail.wall ? duration(detail.wall) : ""],
    ["Memory", detail.peak_mb ? `${count(Math.round(detail.peak_mb))} MiB at its peak` : ""],
    ["Attempts", detail.attempts > 1 ? count(detail.attempts) : ""],
  ];
  return facts.filter(([, text]) => text);
}
