// The renderer of saved frames: whatever front end shows the notebook, it draws the job and follows it through the
// server. It writes text, never HTML, so that it may be used in notebooks that are not trusted.

import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";
import { Panel, type Widget } from "@lumino/widgets";

import { frameIn } from "./checked.js";
import { make } from "./dom.js";
import { MIME, VERSION, type Frame } from "./frame.js";
import { request } from "./jupyter.js";
import { ServerHost, type Collector } from "./server.js";
import { mount } from "./view.js";

import "../../burst_magic/ui/view.css";

export const RANK = -20; // before ipywidgets' -10: a widget dies with its kernel
const WIDGET = "application/vnd.jupyter.widget-view+json";

/** What renders other mime types of the same output. */
interface Renderers {
  readonly mimeTypes: readonly string[];
  createRenderer(mimeType: string): IRenderMime.IRenderer;
}

/** One output. Where the server does not know the job, but a live kernel does, the kernel's widget takes its place. */
export class BurstOutput extends Panel implements IRenderMime.IRenderer {
  private host: ServerHost | null = null;
  private unmount: (() => void) | null = null;
  private seen: IntersectionObserver | null = null;
  private born: MutationObserver | null = null;
  private widget: Widget | null = null;

  constructor(
    private readonly others: Renderers | null = null,
    private readonly collector: Collector | null = null,
  ) {
    super();
    this.addClass("burst-output");
  }

  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    if (this.isDisposed) return Promise.resolve();
    const frame = frameIn(model.data[MIME]);
    if (!frame) {
      this.end();
      const said = make("pre", "", unreadable(model.data));
      this.node.append(said);
      this.unmount = () => {
        said.remove();
      };
      return Promise.resolve();
    }
    const known = this.host?.frame();
    if (known && known.session === frame.session && known.job === frame.job) {
      this.host?.offer(frame); // the view stays, with what the reader has opened
      return Promise.resolve();
    }
    this.widget?.dispose(); // its kernel has left this output instead
    this.follow(frame, () => {
      this.tryWidget(model);
    });
    return Promise.resolve();
  }

  /** Shows a job from this frame on; `lost` is called once if the server has no such job. */
  follow(frame: Frame, lost?: () => void): void {
    this.end();
    const host = new ServerHost(request, frame, lost, this.collector);
    this.host = host;
    this.unmount = mount(host, this.node);
    this.seen = new IntersectionObserver((entries) => {
      host.show(entries.some((entry) => entry.isIntersecting));
    });
    this.seen.observe(this.node);
    host.start();
  }

  override dispose(): void {
    this.end();
    super.dispose();
  }

  private end(): void {
    this.seen?.disconnect();
    this.born?.disconnect();
    this.host?.stop();
    this.unmount?.();
    this.host = this.unmount = this.seen = this.born = null;
  }

  /** Renders the widget out of sight, and shows it instead of ours if a view comes to life in it. */
  private tryWidget(model: IRenderMime.IMimeModel): void {
    if (!this.others?.mimeTypes.includes(WIDGET) || !(WIDGET in model.data)) return;
    const widget = this.others.createRenderer(WIDGET);
    this.widget = widget;
    widget.hide();
    this.born = new MutationObserver(() => {
      if (!widget.node.querySelector(".burst-view")) return;
      this.end();
      widget.show();
    });
    this.born.observe(widget.node, { childList: true, subtree: true });
    this.addWidget(widget);
    void widget.renderModel(model);
  }
}

/** What is shown instead of a frame that is none: the words beside it, for they are only text. */
function unreadable(data: IRenderMime.IMimeModel["data"]): string {
  const version = (data[MIME] as { version?: unknown } | undefined)?.version;
  const newer = typeof version === "number" && version > VERSION;
  const problem = newer ? "This output was written by a newer burst_magic: upgrade this one." : "This output holds no state of a burst.";
  const words = data["text/plain"];
  return typeof words === "string" ? `${problem}\n${words}` : problem;
}

/** Makes renderers; `others` and `collector` are those of the notebook. */
export function factory(others: Renderers | null = null, collector: Collector | null = null): IRenderMime.IRendererFactory {
  return { safe: true, mimeTypes: [MIME], createRenderer: () => new BurstOutput(others, collector) };
}

const extension: IRenderMime.IExtension = {
  id: "burst-magic:frame",
  description: "Shows the state of a burst, with and without a kernel.",
  rendererFactory: factory(),
  rank: RANK,
  dataType: "json",
};

export default extension;
