// Made by `make docs` from burst_magic/{ui/frame,ui/details,ui/timeline,server/listed}.py; do not edit.

export const VERSION = 1;

export const MIME = "application/vnd.burst+json";

/** What runs in the account's region, oldest first; ``problem``: why that is not known, or not of all clusters. */
export interface AccountList {
  region: string;
  sessions: AccountSessionState[];
  problem: string;
  way_out: string;
}

/** A session that runs in the AWS account; ``spent`` micro-dollars at ``at``, None if a price is not known. */
export interface AccountSessionState {
  id: string;
  owner: string;
  workers: number;
  launcher: string;
  since: number;
  at: number;
  spent: number | null;
  hourly: number | null;
}

/** Whether an action is possible: ``off`` says why it is not, "" if it is. */
export interface ActionState {
  action: PanelAction;
  off: string;
}

/** Workers that are being brought up, by phase; ``since``: when the first of them entered it. */
export interface ComingWorkers {
  phase: string;
  count: number;
  since: number;
}

/** One object that a task displayed, in the richest form that a view shows safely. */
export interface DisplayView {
  mime: string;
  data: string;
  words: string;
}

/** How tasks failed. */
export type FailureClass = "raised" | "timeout" | "crashed" | "unpicklable" | "lost" | "damaged" | "not run" | "other";

/** Failed tasks of one class, exception, line of the cell and pattern of the message. */
export interface FailureView {
  id: string;
  kind: FailureClass;
  type: string;
  line: number | null;
  message: string;
  count: number;
  messages: number;
  first: number;
}

/** The failures, most frequent first. */
export interface FailuresPart {
  groups: FailureView[];
  more: number;
  more_tasks: number;
  unread: string;
}

/** One job of a session at one instant. */
export interface Frame {
  version: number;
  session: string;
  job: string;
  title: string;
  out: string;
  launcher: string;
  at: number;
  created: number;
  ended: number | null;
  deadline: number;
  phase: Phase;
  end: string;
  state: string;
  progress: string;
  forecast: number | null;
  counts: TaskCounts;
  tasks: TaskStrip;
  money: Money;
  workers: WorkerFacts;
  waiting: WaitAdvice | null;
  stale: Staleness | null;
  longest: LongestTask | null;
  attach: string;
  revisions: PartRevisions;
  failures?: FailuresPart;
  output?: OutputPart;
}

/** What the view's host can do, and its last word about what was asked of it ("" for none). */
export interface HostState {
  actions: ActionState[];
  notice: string;
}

/** Workers that are kept for the next job: their number, what they cost an hour, and until when at the latest. */
export interface KeptWorkers {
  count: number;
  hourly: number;
  until: number;
}

/** One job of a listed session. ``attach`` is the line that brings its results back in a kernel. */
export interface ListedJobState {
  job: string;
  title: string;
  out: string;
  state: string;
  phase: string;
  total: number;
  done: number;
  failed: number;
  created: number;
  ended: number | null;
  attach: string;
}

/** A session and its jobs, oldest first. */
export interface ListedState {
  session: SessionRow;
  jobs: ListedJobState[];
  money: Money | null;
  workers: number;
  mine: boolean;
  as_of: number;
}

/** The task that has been running for the longest time. */
export interface LongestTask {
  task: number;
  since: number;
  worker: string;
}

/** What the session costs. At another instant ``t`` it is ``spent + hourly * (t - at) / 3600``. */
export interface Money {
  priced: boolean;
  free: boolean;
  at: number;
  spent: number;
  hourly: number;
  job: number | null;
  estimate: number | null;
  budget: number | null;
  fargate: number;
  fargate_hourly: number;
  worker_hourly?: number;
  kept?: KeptWorkers;
}

/** One line that a task printed. */
export interface OutputLine {
  task: number;
  text: string;
}

/** The last lines that running tasks printed, oldest first. */
export interface OutputPart {
  lines: OutputLine[];
}

/** What a view can ask for beside facts. */
export type PanelAction = "cancel" | "cancel_session" | "scale" | "extend" | "cleanup";

/** What the failures and the output are at: equal revisions mean equal parts, in every process. */
export interface PartRevisions {
  failures: string;
  output: string;
}

/** The state of a job, in one word that sets the colour of its headline. */
export type Phase = "waiting" | "running" | "finished" | "failed" | "ended";

/** What the store has. */
export interface SessionList {
  store: string;
  sessions: ListedState[];
  unread: number;
  more: number;
  problem: string;
  context: string;
  way_out: string;
  account: AccountList | null;
}

/** One row of ``%burst_sessions`` and ``%burst_cost``. Times are seconds since the epoch; money is micro-dollars. */
export interface SessionRow {
  id: string;
  name: string;
  created: number;
  last_activity: number;
  total: number;
  pending: number;
  running: number;
  completed: number;
  failed: number;
  cost: number | null;
  estimate?: number;
  fargate?: number;
  launcher: string;
  region: string;
  state: string;
  notebook: string;
  problem: string;
}

/** What one slot of a worker is doing: the task and since when, or None; MiB. */
export interface SlotRow {
  task: number | null;
  since: number | null;
  memory_mb: number;
}

/** The store does not answer, and all facts are as of ``since``; ``why``: its error, or "". */
export interface Staleness {
  since: number;
  why: string;
}

/** The exact states of the tasks ``start`` … ``stop`` − 1. */
export interface StatesPage {
  start: number;
  stop: number;
  tasks: TaskStrip;
}

/** Numbers of tasks, which add up to ``total``, but for ``reused``: those are some of the completed ones. */
export interface TaskCounts {
  total: number;
  pending: number;
  running: number;
  completed: number;
  failed: number;
  not_run: number;
  reused: number;
}

/** All that is known of one task that has ended. Texts have several lines; durations are seconds, memory is MiB. */
export interface TaskDetail {
  task: number;
  kind: FailureClass | null;
  type: string;
  message: string;
  line: number | null;
  traceback: string;
  output: string;
  displays: DisplayView[];
  item: string;
  worker: string;
  slot: number;
  began: number;
  wall: number;
  cpu: number;
  peak_mb: number;
  attempts: number;
}

/** One failed task. ``began`` is seconds since the epoch, 0 if it did not run; ``wall`` is seconds. */
export interface TaskRow {
  task: number;
  item: string;
  message: string;
  worker: string;
  began: number;
  wall: number;
}

/** The state of each task in order, as runs: ``c40f2r8p50``; a letter without a number is a run of one. */
export interface TaskStrip {
  size: number;
  cells: string;
}

/** Tasks of one group of failures, ascending; ``next`` is the task to go on after, or None. */
export interface TasksPage {
  group: string;
  rows: TaskRow[];
  next: number | null;
}

/** One task: when it began (seconds since the epoch) and how long it took (seconds). */
export interface TimelineBar {
  task: number;
  began: number;
  wall: number;
  failed: boolean;
}

/** One slot of a worker. */
export interface TimelineLane {
  worker: string;
  name: string;
  tasks: number;
  failed: number;
  busy: number;
  running: number | null;
  since: number | null;
  bars: TimelineBar[];
  cells: string;
}

/** What ran between ``start`` and ``stop`` (seconds since the epoch). */
export interface TimelinePage {
  start: number;
  stop: number;
  bins: number;
  lanes: TimelineLane[];
  more: number;
  tasks: number;
  left_out: number;
}

/** Why nothing runs, since when if that is known, and what to do about it ("" for nothing). */
export interface WaitAdvice {
  cause: WaitCause;
  words: string;
  since: number | null;
  way_out: string;
}

/** Why nothing of a job is running. */
export type WaitCause = "writes" | "silent" | "busy" | "preparing" | "refused" | "starting";

/** Numbers of workers: ``started`` ever, ``alive`` now (after the end: none counts), ``wanted``. */
export interface WorkerFacts {
  wanted: number;
  started: number;
  alive: number;
  coming: ComingWorkers[];
  lost: string;
  refused: string;
}

/** One worker. ``name`` counts them in order of their start; ``ended`` says why it has, or "". */
export interface WorkerRow {
  id: string;
  name: string;
  started: number;
  seen: number;
  stage: string;
  ended: string;
  slots: SlotRow[];
}

/** The workers, living ones first; ``more`` are not listed. */
export interface WorkersPage {
  workers: WorkerRow[];
  more: number;
}
