// The list of sessions in JupyterLab: a sidebar, an item of the status bar, a tab for one job, and a word when a session
// ends. All of it goes through the Jupyter server; no kernel is needed, except to attach.

import type { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ILabShell, ILayoutRestorer as LayoutRestorer } from "@jupyterlab/application";
import { MainAreaWidget, Notification, WidgetTracker } from "@jupyterlab/apputils";
import { INotebookTracker } from "@jupyterlab/notebook";
import { IStatusBar } from "@jupyterlab/statusbar";
import { LabIcon } from "@jupyterlab/ui-components";
import { Signal } from "@lumino/signaling";
import { Widget } from "@lumino/widgets";

import { button, say } from "./dom.js";
import { Feed } from "./feed.js";
import type { SessionList } from "./frame.js";
import { inWords, type Answer } from "./host.js";
import { findJob, type TabPlace } from "./job.js";
import { request } from "./jupyter.js";
import { attachWhereOpen, collectorWhereOpen } from "./reattach.js";
import { fault, type Collector } from "./server.js";
import { endedSince, totalOf, type Ending } from "./sessions.js";
import { Sidebar, type Deeds, type Permission } from "./sidebar.js";
import { JobTab } from "./tab.js";

import "../style/sessions.css";

const OPEN = "burst-magic:open-session";
const LIST = "burst-magic:open-list";
const SIDEBAR = "burst-sessions";
const EAGER = 2000; // milliseconds between two lists while the sidebar can be seen
const SLOW = 30_000; // while it cannot, and the status bar counts
const TOLD = 10_000; // milliseconds that a word on the end of a session stands
const ICON = new LabIcon({
  name: "burst-magic:sessions",
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><g class="jp-icon3 jp-icon-selectable" fill="none" stroke="#616161" stroke-width="2" stroke-linecap="round"><path d="M12 3v5M12 16v5M3 12h5M16 12h5M5.6 5.6l3.6 3.6M14.8 14.8l3.6 3.6M18.4 5.6l-3.6 3.6M9.2 14.8l-3.6 3.6"/></g></svg>`,
});

const permission: Permission = {
  state: () => ("Notification" in window && window.isSecureContext ? window.Notification.permission : "unsupported"),
  ask: async () => {
    await window.Notification.requestPermission();
  },
};

/** Hosts the list; it is followed while it is in sight. */
class SidebarWidget extends Widget {
  constructor(
    private readonly feed: Feed,
    private readonly list: Sidebar,
  ) {
    super();
    this.id = SIDEBAR;
    this.title.icon = ICON;
    this.title.caption = "Burst sessions";
    this.addClass("burst-sidebar");
    this.node.append(list.node);
  }

  protected override onAfterShow(): void {
    this.list.show();
    this.feed.want("sidebar", EAGER);
  }

  protected override onAfterHide(): void {
    this.feed.want("sidebar", null);
    this.list.hide();
  }
}

/** How much runs, and what it costs. */
class StatusItem extends Widget {
  readonly changed = new Signal<this, void>(this);
  active = false;
  private readonly label: HTMLButtonElement;

  constructor(open: () => void) {
    super();
    this.addClass("burst-status");
    this.label = button("burst-status-label", "", open);
    this.node.append(this.label);
  }

  draw(list: SessionList | null): void {
    const total = totalOf(list, Date.now() / 1000);
    say(this.label, total.words);
    this.label.title = total.title;
    this.label.dataset["over"] = String(total.overBudget);
    const active = total.running > 0;
    if (active === this.active) return;
    this.active = active;
    this.changed.emit();
  }
}

function activate(
  app: JupyterFrontEnd,
  notebooks: INotebookTracker,
  shell: ILabShell | null,
  statusBar: IStatusBar | null,
  restorer: ILayoutRestorer | null,
): void {
  if (!shell) return; // Notebook 7 has no place for a list beside its one document
  const feed = new Feed(request, () => permission.state() === "granted");
  const tabs = new Tabs(shell, collectorWhereOpen(notebooks));
  const open = (session: string, job: string): Promise<Answer> => tabs.open({ session, job, store: feed.list()?.store ?? "" });
  const post = async (path: string): Promise<Answer> => {
    const reply = await request(path, { method: "POST", body: "{}" });
    feed.look();
    const notice = (reply.body as { notice?: string } | null)?.notice;
    return reply.status === 200 && notice !== undefined ? { ok: notice } : fault(reply);
  };
  const deeds: Deeds = {
    open,
    attach: (row) => Promise.resolve(attachWhereOpen(notebooks, row)),
    stop: (row) => post(`sessions/${row.id}/cancel`),
    delete: (row) => post(`sessions/${row.id}/delete`),
  };
  const sidebar = new SidebarWidget(feed, new Sidebar(feed, deeds, permission));
  shell.add(sidebar, "left", { rank: 550 });
  restorer?.add(sidebar, SIDEBAR);
  app.commands.addCommand(LIST, {
    label: "Show Burst Sessions",
    execute: () => {
      shell.activateById(SIDEBAR);
    },
  });
  app.commands.addCommand(OPEN, {
    label: "Open Burst Session",
    execute: ({ session, job, store }) => tabs.restore({ session: session as string, job: job as string, store: (store ?? "") as string }),
  });
  void restorer?.restore(tabs.tracker, { command: OPEN, args: ({ content }) => content.place, name: (tab) => tab.id });
  const item = new StatusItem(() => void app.commands.execute(LIST));
  statusBar?.registerStatusItem("burst-magic:running", {
    item,
    align: "left",
    rank: 20,
    isActive: () => item.active,
    activeStateChanged: item.changed,
  });
  let before: SessionList | null = null;
  feed.on(() => {
    const list = feed.list();
    item.draw(list);
    if (list && list !== before) for (const ending of endedSince(before, list)) tell(ending, () => void open(ending.id, ending.job));
    before = list;
  });
  feed.want("status", SLOW);
}

/** Tabs with one job each. */
class Tabs {
  readonly tracker = new WidgetTracker<MainAreaWidget<JobTab>>({ namespace: "burst-magic" });

  constructor(
    private readonly shell: ILabShell,
    private readonly collector: Collector,
  ) {}

  /** Opens a job's tab, or the one that is there; a job that cannot be read gets none. */
  async open(place: TabPlace): Promise<Answer> {
    const id = idOf(place);
    if (!this.has(id)) {
      const found = await findJob(request, place);
      if (!found.frame) return found.fault;
      if (!this.has(id)) this.add(place).tell(found); // a second click may have been faster
    }
    this.shell.activateById(id);
    return { ok: "" };
  }

  /** Brings a tab of an earlier page back. JupyterLab forgets one whose command fails: that of a job that is gone. */
  async restore(place: TabPlace): Promise<void> {
    const found = await findJob(request, place);
    if (!found.frame && found.gone) throw new Error(inWords(found.fault));
    if (!this.has(idOf(place))) this.add(place).tell(found);
  }

  private has(id: string): boolean {
    return this.tracker.find((tab) => tab.id === id) !== undefined;
  }

  private add(place: TabPlace): JobTab {
    const content = new JobTab(place, request, this.collector);
    const tab: MainAreaWidget<JobTab> = new MainAreaWidget({ content });
    tab.id = idOf(place);
    tab.title.icon = ICON;
    tab.addClass("burst-tab");
    this.shell.add(tab, "main");
    void this.tracker.add(tab);
    return content;
  }
}

function idOf({ session, job }: TabPlace): string {
  return `burst-${session}-${job}`;
}

/** Tells of the end of a session: in JupyterLab, and in the browser to who looks elsewhere and has allowed it. */
function tell({ id, words, failed }: Ending, open: () => void): void {
  Notification.emit(words, failed ? "error" : "success", {
    autoClose: TOLD,
    actions: [{ label: "Open", callback: open, displayType: "default" }],
  });
  if (!document.hidden || permission.state() !== "granted") return;
  const said = new window.Notification("burst", { body: words, tag: id });
  said.onclick = () => {
    window.focus();
    open();
  };
}

export const sessions: JupyterFrontEndPlugin<void> = {
  id: "burst-magic:sessions",
  description: "Lists the sessions of the configured store, says what they cost, and tells when one ends.",
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ILabShell, IStatusBar, LayoutRestorer],
  activate,
};
