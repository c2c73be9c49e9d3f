// Every task a cell of one canvas, up to the number that fits; beyond it a cell stands for several. The arrow keys walk
// over the cells, and a table beside it says the same in words.

import { make, say } from "./dom.js";
import { Rows } from "./rows.js";
import { sheetOf } from "./sheet.js";
import type { Cell } from "./shown.js";
import { count } from "./words.js";

const SIDES = [16, 12, 10, 8, 6, 5, 4, 3]; // pixels of a cell, gap included
const HEIGHT = 168; // pixels that the canvas may take

/** Columns and side of a cell so that `cells` fit into a width, with the largest side that the height allows. */
export function layout(cells: number, width: number): { side: number; columns: number; rows: number } {
  for (const side of SIDES) {
    const columns = Math.max(1, Math.floor(width / side));
    const rows = Math.max(1, Math.ceil(cells / columns));
    if (rows * side <= HEIGHT || side === SIDES.at(-1)) return { side, columns, rows };
  }
  throw new Error("the last side always fits");
}

/** What a cell holds: `task 17: failed`, `tasks 40 – 59: 12 done, 8 pending`. */
export function describe(cell: Cell, idle: string): string {
  const names = [
    [cell.failed, "failed"],
    [cell.running, "running"],
    [cell.done, "done"],
    [cell.pending, idle],
  ] as const;
  const held = names.filter(([number]) => number);
  if (cell.stop - cell.start === 1) return `task ${count(cell.start)}: ${held[0]?.[1] ?? idle}`;
  return `tasks ${count(cell.start)} – ${count(cell.stop - 1)}: ${held.map(([n, word]) => `${count(n)} ${word}`).join(", ")}`;
}

export class Tasks {
  private readonly canvas = make("canvas", "bv-canvas");
  private readonly said = make("p", "bv-said");
  private readonly listed = make("details", "bv-listed");
  private readonly table = new Rows(["Tasks", "State"]);
  private readonly sized: ResizeObserver;
  private cells: readonly Cell[] = [];
  private idle = "pending";
  private at = 0;

  constructor(
    body: HTMLElement,
    private readonly open: (cell: Cell) => void,
  ) {
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "slider");
    this.canvas.setAttribute("aria-label", "Tasks; arrow keys move, Enter shows one");
    this.canvas.addEventListener("keydown", (event) => {
      this.key(event);
    });
    this.canvas.addEventListener("click", (event) => {
      this.pick(event, true);
    });
    this.canvas.addEventListener("mousemove", (event) => {
      this.pick(event, false);
    });
    this.listed.append(make("summary", "", "As a table"), this.table.node);
    this.listed.addEventListener("toggle", () => {
      this.list();
    });
    body.append(this.canvas, this.said, this.listed);
    this.sized = new ResizeObserver(() => {
      this.paint();
    });
    this.sized.observe(this.canvas);
  }

  stop(): void {
    this.sized.disconnect();
  }

  draw(cells: readonly Cell[], idle: string): void {
    this.cells = cells;
    this.idle = idle;
    this.at = Math.min(this.at, Math.max(0, cells.length - 1));
    this.paint();
    this.list();
    this.say();
  }

  /** Also when the canvas comes back onto the screen, or the theme changes. */
  paint(): void {
    const { side, columns, rows } = layout(this.cells.length, this.canvas.clientWidth);
    const sheet = sheetOf(this.canvas, rows * side);
    if (!sheet) return;
    const { pen, colour } = sheet;
    const [done, running, pending, failed, ink] = ["done", "running", "edge", "failed", "ink"].map(colour) as [string, string, string, string, string];
    const box = side - 1;
    this.cells.forEach((cell, index) => {
      const x = (index % columns) * side;
      const y = Math.floor(index / columns) * side;
      const size = cell.stop - cell.start;
      // From the foot: done, then running; failures from the top, never thinner than a third.
      const high = (number: number): number => Math.round((box * number) / size);
      const top = cell.failed ? Math.max(high(cell.failed), Math.ceil(box / 3)) : 0;
      const room = box - top;
      const rest = Math.max(1, size - cell.failed);
      const doneHigh = Math.round((room * cell.done) / rest);
      const runHigh = Math.round((room * cell.running) / rest);
      pen.lineWidth = 1;
      pen.strokeStyle = pending;
      pen.strokeRect(x + 0.5, y + 0.5, box - 1, box - 1);
      if (doneHigh) fill(pen, done, x, y + box - doneHigh, box, doneHigh);
      if (runHigh) hatch(pen, running, x, y + box - doneHigh - runHigh, box, runHigh);
      if (top) fill(pen, failed, x, y, box, top);
      if (top && side >= 8) cross(pen, colour("paper"), x, y, box, top);
    });
    if (this.cells.length && document.activeElement === this.canvas) {
      pen.lineWidth = 2;
      pen.strokeStyle = ink;
      pen.strokeRect((this.at % columns) * side, Math.floor(this.at / columns) * side, side - 1, side - 1);
    }
  }

  private key(event: KeyboardEvent): void {
    const { columns } = layout(this.cells.length, this.canvas.clientWidth);
    const steps: Record<string, number> = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -columns,
      ArrowDown: columns,
      Home: -this.cells.length,
      End: this.cells.length,
    };
    const step = steps[event.key];
    const cell = this.cells[this.at];
    if (event.key === "Enter" && cell) this.open(cell);
    else if (step === undefined) return;
    else this.at = Math.max(0, Math.min(this.cells.length - 1, this.at + step));
    event.preventDefault();
    event.stopPropagation(); // the notebook would walk to another cell
    this.say();
    this.paint();
  }

  private pick(event: MouseEvent, open: boolean): void {
    const { side, columns } = layout(this.cells.length, this.canvas.clientWidth);
    const column = Math.floor(event.offsetX / side);
    const index = Math.floor(event.offsetY / side) * columns + column;
    const cell = this.cells[index];
    if (!cell || column >= columns) return;
    if (!open) {
      this.canvas.title = describe(cell, this.idle);
      return;
    }
    this.at = index;
    this.say();
    this.paint();
    this.open(cell);
  }

  private say(): void {
    const cell = this.cells[this.at];
    const words = cell ? describe(cell, this.idle) : "no tasks";
    say(this.said, words);
    this.canvas.setAttribute("aria-valuemin", "0");
    this.canvas.setAttribute("aria-valuemax", String(Math.max(0, this.cells.length - 1)));
    this.canvas.setAttribute("aria-valuenow", String(this.at));
    this.canvas.setAttribute("aria-valuetext", words);
  }

  /** Neighbours of one kind in one row: a table of 10 000 rows would help nobody. Only while somebody reads it. */
  private list(): void {
    if (!this.listed.open) return;
    const rows: [number, number, string][] = [];
    for (const cell of this.cells) {
      const one = cell.stop - cell.start === 1 || [cell.done, cell.running, cell.pending, cell.failed].filter(Boolean).length === 1;
      const word = one ? (cell.failed ? "failed" : cell.running ? "running" : cell.done ? "done" : this.idle) : describe(cell, this.idle).split(": ")[1] ?? "";
      const last = rows.at(-1);
      if (last && one && last[2] === word && last[1] === cell.start) last[1] = cell.stop;
      else rows.push([cell.start, cell.stop, word]);
    }
    this.table.draw(rows.map(([start, stop, word]) => [stop - start === 1 ? count(start) : `${count(start)} – ${count(stop - 1)}`, word]));
  }
}

type Pen = CanvasRenderingContext2D;

function fill(pen: Pen, colour: string, x: number, y: number, width: number, height: number): void {
  pen.fillStyle = colour;
  pen.fillRect(x, y, width, height);
}

/** Running: every other row of pixels, so that it differs from done without colour. */
function hatch(pen: Pen, colour: string, x: number, y: number, width: number, height: number): void {
  pen.fillStyle = colour;
  for (let line = 0; line < height; line += 3) pen.fillRect(x, y + line, width, Math.min(2, height - line));
}

/** Failed: struck through. */
function cross(pen: Pen, colour: string, x: number, y: number, width: number, height: number): void {
  pen.lineWidth = 1.5;
  pen.strokeStyle = colour;
  pen.beginPath();
  pen.moveTo(x + 2, y + 2);
  pen.lineTo(x + width - 2, y + height - 2);
  pen.moveTo(x + width - 2, y + 2);
  pen.lineTo(x + 2, y + height - 2);
  pen.stroke();
}
