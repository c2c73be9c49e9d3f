// A tab with one job. Where the job cannot be read at the moment, it says why and is kept: a server may show another store
// today, or none.

import { button, make } from "./dom.js";
import { inWords } from "./host.js";
import { findJob, type FoundJob, type TabPlace } from "./job.js";
import { BurstOutput } from "./mime.js";
import type { Collector, Request } from "./server.js";

export class JobTab extends BurstOutput {
  private readonly said = make("div", "burst-sessions");

  constructor(
    readonly place: TabPlace,
    private readonly request: Request,
    collector: Collector | null = null,
  ) {
    super(null, collector);
    this.title.label = this.title.caption = place.session;
    this.title.closable = true;
  }

  /** Shows what was found, or why nothing was; there is a way to ask again. */
  tell(found: FoundJob): void {
    this.said.remove();
    if (found.frame) {
      this.title.label = found.frame.title || this.place.session;
      this.follow(found.frame);
      return;
    }
    const again = button("bv-button", "Try again", () => void this.ask());
    this.said.replaceChildren(make("p", "bs-title", this.place.session), make("p", "bs-trouble", inWords(found.fault)), again);
    this.node.append(this.said);
  }

  private async ask(): Promise<void> {
    const found = await findJob(this.request, this.place);
    if (!this.isDisposed) this.tell(found);
  }
}
