// What ran when, on which worker: a canvas with a lane for each slot, and the same as a table. It is read when asked for:
// it takes a look at every result.

import { button, make, say } from "./dom.js";
import type { TimelineLane, TimelinePage } from "./frame.js";
import { inWords, type Answer, type Host } from "./host.js";
import { Rows } from "./rows.js";
import { sheetOf } from "./sheet.js";
import { bitsOf, described, lastBefore, summary, tableOf, type Bit } from "./timeline.js";

const HEIGHTS = [18, 12, 8, 5, 3]; // pixels of a lane, gap included
const HEIGHT = 216; // pixels that all of them may take, if they are not more than fit at the least height

export class Lanes {
  readonly node = make("details", "bv-listed bv-lanes");
  private readonly canvas = make("canvas", "bv-canvas");
  private readonly said = make("p", "bv-said");
  private readonly total = make("p", "bv-quiet");
  private readonly trouble = make("p", "bv-trouble");
  private readonly table = new Rows(["Worker", "Tasks", "Failed", "Busy", "Of the time"]);
  private readonly again = button("bv-small", "Read again", () => void this.read());
  private readonly sized: ResizeObserver;
  private page: TimelinePage | null = null;
  private bits: readonly (readonly Bit[])[] = [];
  private lane = 0;
  private at = 0;

  constructor(private readonly host: Host) {
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "slider");
    this.canvas.setAttribute("aria-label", "Timeline; left and right move in time, up and down between workers");
    this.canvas.setAttribute("aria-valuemin", "0");
    this.canvas.addEventListener("keydown", (event) => {
      this.key(event);
    });
    this.canvas.addEventListener("click", (event) => {
      this.pick(event);
    });
    const drawn = make("div", "bv-lanes-drawn");
    drawn.hidden = true;
    drawn.append(this.canvas, this.said, this.table.node);
    this.node.append(make("summary", "", "Timeline"), this.total, this.again, this.trouble, drawn);
    this.again.hidden = true;
    this.node.addEventListener("toggle", () => {
      if (this.node.open) void this.read();
    });
    this.sized = new ResizeObserver(() => {
      this.paint();
    });
    this.sized.observe(this.canvas);
  }

  stop(): void {
    this.sized.disconnect();
  }

  private async read(): Promise<void> {
    say(this.total, this.page ? this.total.textContent : "Reading…");
    const answer = (await this.host.ask("timeline")) as Answer<TimelinePage>;
    say(this.trouble, answer.problem === undefined ? "" : inWords(answer));
    this.again.hidden = false;
    if (answer.problem !== undefined) {
      if (!this.page) say(this.total, "");
      return;
    }
    this.page = answer.ok;
    this.bits = answer.ok.lanes.map((lane) => bitsOf(lane, answer.ok));
    say(this.total, summary(answer.ok));
    this.table.draw(tableOf(answer.ok));
    const drawn = this.node.querySelector<HTMLElement>(".bv-lanes-drawn");
    if (drawn) drawn.hidden = !answer.ok.lanes.length;
    this.move(this.lane, this.at);
  }

  private get height(): number {
    return HEIGHTS.find((high) => high * this.bits.length <= HEIGHT) ?? HEIGHTS.at(-1) ?? 3;
  }

  /** Also when the canvas comes back onto the screen, or the theme changes. */
  paint(): void {
    const { height } = this;
    const sheet = this.page && sheetOf(this.canvas, this.bits.length * height);
    if (!this.page || !sheet) return;
    const { start, stop } = this.page;
    const { pen, width, colour } = sheet;
    const [done, failed, ink, line] = [colour("done"), colour("failed"), colour("ink"), colour("line")];
    this.bits.forEach((bits, lane) => {
      const top = lane * height;
      pen.fillStyle = line;
      pen.fillRect(0, top + height - 1, width, 1);
      bits.forEach((bit, at) => {
        const left = ((bit.from - start) / (stop - start)) * width;
        const right = ((bit.to - start) / (stop - start)) * width;
        const wide = Math.max(1, right - left - (right - left > 3 ? 1 : 0)); // a gap between tasks where there is room
        const high = Math.max(1, Math.round((height - 2) * bit.share));
        pen.fillStyle = bit.failed ? failed : done;
        if (bit.running) for (let x = 0; x < wide; x += 4) pen.fillRect(left + x, top + height - 2 - high, Math.min(2, wide - x), high);
        else pen.fillRect(left, top + height - 2 - high, wide, high);
        if (bit.failed && height > 5) {
          pen.fillStyle = ink; // a mark above it: failed reads without colour, too
          pen.fillRect(left, top, wide, 2);
        }
        if (lane === this.lane && at === this.at) {
          pen.strokeStyle = ink;
          pen.lineWidth = 2;
          pen.strokeRect(left, top + 1, Math.max(3, wide), height - 2);
        }
      });
    });
  }

  private key(event: KeyboardEvent): void {
    const steps: Record<string, [number, number]> = {
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      Home: [0, -Infinity],
      End: [0, Infinity],
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook would walk to another cell
    const [down, right] = step;
    if (!down) {
      this.move(this.lane, this.at + right);
      return;
    }
    const now = this.bits[this.lane]?.[this.at]?.from ?? 0;
    const next = Math.max(0, Math.min(this.bits.length - 1, this.lane + down));
    this.move(next, lastBefore(this.bits[next] ?? [], now));
  }

  private pick(event: MouseEvent): void {
    if (!this.page) return;
    const { start, stop } = this.page;
    const lane = Math.floor(event.offsetY / this.height);
    const time = start + (event.offsetX / this.canvas.clientWidth) * (stop - start);
    const at = lastBefore(this.bits[lane] ?? [], time);
    if (at >= 0) this.move(lane, at);
  }

  private move(lane: number, at: number): void {
    this.lane = Math.max(0, Math.min(this.bits.length - 1, lane));
    const bits = this.bits[this.lane] ?? [];
    this.at = Math.max(0, Math.min(bits.length - 1, at));
    const held: TimelineLane | undefined = this.page?.lanes[this.lane];
    const bit = bits[this.at];
    const words = held && bit ? described(held, bit) : "nothing ran yet";
    say(this.said, words);
    this.canvas.setAttribute("aria-valuemax", String(Math.max(0, bits.length - 1)));
    this.canvas.setAttribute("aria-valuenow", String(this.at));
    this.canvas.setAttribute("aria-valuetext", words);
    this.paint();
  }
}
