// The tracks of a dataset as a table: edited in place, sorted, filtered, changed many at once, undone, played.
//
// Gradio calls this with `element`, `trigger`, `props` and `watch`. `props.value` is {dataset, stamp} as JSON, or "" for
// nothing; the tracks themselves come from REST, and edits go there. All texts become text nodes or values of fields. Rows
// outlive every answer, and with them what is being typed.

const PAGE_ROWS = 10;
const COLUMNS = [["select", "Select"], ["play", "Play"], ["name", "Track"], ["lyrics", "Lyrics"], ["tags", "Tags"],
  ["rights", "Rights"], ["more", "More"]];
const NO_TRACKS = "At least five songs. Songs of one style work best.";
const textually = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" }).compare;
const by = (read) => (one, other) => textually(read(one.track), read(other.track)) || one.order - other.order;
const ORDERS = {
  added: ["As added", (one, other) => one.order - other.order],
  name: ["Track", by((track) => track.filename)],
  length: ["Length", (one, other) => one.track.duration_sec - other.track.duration_sec || one.order - other.order],
  lyrics: ["Lyrics", by((track) => track.caption)],
  tags: ["Tags", by((track) => track.tags.join(", "))],
  rights: ["Rights", by((track) => track.rights)],
};
const FILTERS = {
  all: ["All tracks", () => true],
  words: ["Without lyrics", (track) => !track.caption.trim()],
  tags: ["Without tags of their own", (track) => !track.tags.length],
  rights: ["Rights not stated", (track) => track.rights === "unknown"],
  proposals: ["With proposed tags", (track) => track.proposals.some((one) => one.status === "open")],
  errors: ["With errors", (track) => track.error !== null],
};

class Table {
  constructor() {
    Object.assign(this, { rows: new Map(), shown: [], path: "", numSaving: 0, numSaved: 0, numRows: 0, order: "added" });
    this.history = new History(() => this.drawHistory());
    this.player = new Player((row) => row?.mark());
    this.cleaning = new Cleaning(this);
    this.bulk = new Bulk(this);
    this.pages = new Pages(this);
    this.build();
    window.addEventListener("pagehide", () => this.saveAll());
  }

  build() {
    const options = (parts) => Object.entries(parts).map(([value, [text]]) => [value, text]);
    this.words = make("input", { type: "search", "aria-label": "Find in tracks", placeholder: "Find…" });
    this.words.addEventListener("input", () => (this.filter(), this.pages.begin()));
    this.kind = choice(options(FILTERS), { "aria-label": "Show which tracks" });
    this.kind.addEventListener("change", () => (this.filter(), this.pages.begin()));
    this.sorting = choice(options(ORDERS), { "aria-label": "Sort by" });
    this.sorting.addEventListener("change", () => this.sort(this.sorting.value));
    this.undoing = press("↶ Undo", () => this.repeat(this.history.done, this.history.undone, "after", "before"));
    this.redoing = press("↷ Redo", () => this.repeat(this.history.undone, this.history.done, "before", "after"));
    this.count = make("span", { class: "hint", role: "status" });
    this.said = make("p", { class: "hint", role: "status" });
    this.bar = make("div", { class: "track-tools" }, this.words, this.kind, this.sorting, this.undoing, this.redoing, this.count);
    this.all = make("input", { type: "checkbox", "aria-label": "Select all tracks shown" });
    this.all.addEventListener("click", () => this.selectAll(this.all.checked));
    this.head = make("div", { role: "row", class: "track-cells" }, ...COLUMNS.map((column) => this.heading(...column)));
    this.grid = make("div", { role: "grid", class: "tracks", "aria-label": "Tracks", "aria-multiselectable": "true" },
      make("div", { role: "rowgroup", class: "track-head" }, this.head));
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.grid.addEventListener("focusin", (event) => this.enter(event.target));
    this.asking = make("div", { class: "bulk", role: "alertdialog", "aria-label": "Remove tracks", hidden: true });
    this.asking.addEventListener("keydown", (event) => event.key === "Escape" && this.answer());
    this.node = make("section", { class: "track-table", "aria-label": "Tracks of the dataset", hidden: true },
      this.bar, this.bulk.node, this.asking, this.said, this.grid, this.pages.node, this.player.node);
    element.append(this.node);
    this.drawHistory();
  }

  heading(name, title) {
    const text = make("span", { id: `track-column-${name}`, class: name in ORDERS ? "" : "sr-only" }, title);
    const inside = name in ORDERS ? press("", () => this.sort(name), { class: "sort" }) : make("span");
    inside.append(text);
    if (name === "select") inside.append(this.all);
    return make("div", { role: "columnheader", class: `cell-${name}`, "data-order": name }, inside);
  }

  // --- what the server has -------------------------------------------------------------------------------------------

  show(text) {
    const value = text ? JSON.parse(text) : null;
    const path = value ? `training/datasets/${encodeURIComponent(value.dataset)}` : "";
    if (path !== this.path) this.clear(path);
    this.node.hidden = !value;
    if (value) this.load();
  }

  clear(path) {
    this.saveAll();
    this.player.close();
    this.rows.forEach((row) => row.node.remove());
    Object.assign(this, { path, rows: new Map(), shown: [], numRows: 0, current: null, isLoaded: false });
    [this.words.value, this.kind.value, this.asking.hidden] = ["", "all", true];
    this.history.clear();
    this.pages.clear();
    this.report("");
    this.arrange("added");
  }

  /** Fetch the tracks. An answer from before something was saved is older than what is shown. */
  async load() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const { path, numSaved } = this;
    try {
      const found = await this.pages.tracksOf(path);
      if (turn !== this.turn || path !== this.path) return;
      if (this.numSaving || numSaved !== this.numSaved) this.isStale = true;
      else this.draw(this.pages.take(found));
    } catch (error) {
      if (turn === this.turn && path === this.path) this.report(error.message);
    }
    if (this.isStale && !this.numSaving) this.loadAgain();
  }

  loadAgain() {
    this.isStale = false;
    this.load();
  }

  /** Do what changes tracks; what the server says meanwhile is asked for again. */
  async saving(action) {
    sayEdited();
    this.numSaving++;
    try {
      return await action();
    } finally {
      sayEdited();
      this.numSaving--;
      this.numSaved++;
      if (this.isStale && !this.numSaving) this.loadAgain();
    }
  }

  saveAll() {
    for (const row of this.rows.values()) Object.values(row.fields).forEach((field) => field.save());
  }

  draw(tracks) {
    const names = new Set(tracks.map((track) => track.filename));
    this.rows.forEach((row, name) => names.has(name) || this.drop(row));
    const isFirst = !this.rows.size;
    this.isLoaded = true;
    for (const track of tracks) {
      const row = this.rows.get(track.filename);
      row ? row.take(track) : this.rows.set(track.filename, new Row(this, track, this.numRows++));
    }
    const isNew = this.rows.size > this.grid.childElementCount - 1;
    if (this.pages.isOn) tracks.forEach((track, place) => (this.rows.get(track.filename).order = place));
    if (isFirst || this.pages.isOn) this.arrange(this.order, this.isReversed);
    else if (isNew) [...this.rows.values()].forEach((row) => row.node.isConnected || this.grid.append(row.node));
    this.filter();
  }

  drop(row) {
    if (this.player.row === row) this.player.close();
    if (this.current === row) this.current = null;
    row.node.remove();
    this.rows.delete(row.track.filename);
  }

  // --- order, filter, selection --------------------------------------------------------------------------------------

  get listed() {
    return [...this.grid.children].slice(1).map((node) => node.row);
  }

  get selected() {
    return this.shown.filter((row) => row.check.checked);
  }

  /** Sort by a column; by the one that it is sorted by already, the other way round. */
  sort(order) {
    const isAgain = order === this.order && order !== "added";
    this.arrange(order, isAgain && !this.isReversed);
    this.pages.begin();
  }

  arrange(order, isReversed = false) {
    Object.assign(this, { order, isReversed });
    const compare = ORDERS[this.pages.isOn ? "added" : order][1];
    const sign = isReversed && !this.pages.isOn ? -1 : 1;
    const rows = [...this.rows.values()].sort((one, other) => compare(one, other) * sign);
    this.grid.append(...rows.map((row) => row.node));
    this.sorting.value = order;
    for (const cell of this.head.children) {
      if (!(cell.dataset.order in ORDERS)) continue;
      const isOn = cell.dataset.order === order;
      cell.setAttribute("aria-sort", isOn ? (isReversed ? "descending" : "ascending") : "none");
    }
    this.filter();
  }

  /** Hide what is not looked for; a row that is being edited stays. */
  filter() {
    const words = this.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isWanted = FILTERS[this.kind.value][1];
    this.shown = this.listed.filter((row) => {
      const isFound = isWanted(row.track) && words.every((word) => row.text.includes(word));
      row.node.hidden = !isFound && !row.isTyped && !row.node.contains(document.activeElement);
      return !row.node.hidden;
    });
    const [shown, all, isPaged] = [this.shown.length, this.rows.size, this.pages.isOn];
    this.count.hidden = isPaged;
    say(this.count, shown === all ? counted(all, "track") : `${shown} of ${counted(all, "track")}`);
    if (!this.current || this.current.node.hidden) this.setCurrent(this.shown[0]);
    const isEmpty = !all && !isPaged;
    if (isEmpty || this.said.textContent === NO_TRACKS) this.report(this.isLoaded && isEmpty ? NO_TRACKS : "");
    this.bar.hidden = this.grid.hidden = isEmpty;
    this.drawSelection();
  }

  select(row, isOn, isRange) {
    const [from, to] = [this.shown.indexOf(this.anchor), this.shown.indexOf(row)];
    if (isRange && from >= 0) {
      this.shown.slice(Math.min(from, to), Math.max(from, to) + 1).forEach((one) => (one.check.checked = isOn));
    }
    this.anchor = row;
    this.drawSelection();
  }

  selectAll(isOn) {
    this.shown.forEach((row) => (row.check.checked = isOn));
    this.drawSelection();
  }

  drawSelection() {
    const { length } = this.selected;
    this.all.checked = Boolean(length) && length === this.shown.length;
    this.all.indeterminate = Boolean(length) && length < this.shown.length;
    for (const row of this.shown) row.main.setAttribute("aria-selected", row.check.checked);
    this.bulk.draw();
  }

  // --- changes of many, undo, removal --------------------------------------------------------------------------------

  async changeSelected(name, change) {
    const rows = this.selected;
    const before = new Map(rows.map((row) => [row, row.track[name]]));
    const changed = await this.putAll(rows.map((row) => ({ filename: row.track.filename, ...change })));
    if (!changed) return false;
    this.history.add(rows.map((row) => (
      { filename: row.track.filename, name, before: before.get(row), after: row.track[name] })));
    this.report(`Changed: ${name === "tags" ? "tags" : "rights"} of ${counted(rows.length, "track")}.`);
    return true;
  }

  /** Change many tracks, all or none. */
  async putAll(tracks) {
    try {
      await this.saving(async () => {
        const answers = await (await ask("PUT", `${this.path}/tracks`, { tracks })).json();
        answers.forEach((track) => this.rows.get(track.filename)?.take(track));
      });
      return true;
    } catch (error) {
      this.report(error.message);
      return false;
    }
  }

  /** Undo a step, or do it again, where its tracks are still as it left them. */
  async repeat(steps, others, from, to) {
    const step = steps.pop();
    if (!step) return;
    const isSame = ({ filename, name, [from]: value }) => {
      const row = this.rows.get(filename);
      return row && !row.fields[name]?.isTyped && JSON.stringify(row.track[name]) === JSON.stringify(value);
    };
    const changes = step.changes.filter(isSame);
    const tracks = changes.map(({ filename, name, [to]: value }) => ({ filename, [name]: value }));
    if (!changes.length) this.report("It was changed elsewhere in the meantime, so it stays as it is.");
    else if (await this.putAll(tracks)) others.push(step), this.reportStep(changes, to);
    else steps.push(step);
    this.drawHistory();
  }

  reportStep(changes, to) {
    const what = changes.length === 1 ? changes[0].filename : `${changes.length} tracks`;
    this.report(`${to === "before" ? "Undone" : "Done again"}: ${what}.`);
  }

  drawHistory() {
    this.undoing.disabled = !this.history.done.length;
    this.redoing.disabled = !this.history.undone.length;
  }

  /** Ask before files go for good. */
  askToRemove(rows) {
    const what = rows.length === 1 ? rows[0].track.filename : `${rows.length} tracks`;
    this.askFirst(`Remove ${what} for good? Lyrics and tags go with it.`, "Remove", () => this.remove(rows));
  }

  askFirst(question, label, action) {
    const keep = press("Keep", () => this.answer());
    this.asking.replaceChildren(make("span", { dir: "auto" }, question),
      press(label, () => (this.answer(), action())), keep);
    this.asked = document.activeElement;
    this.asking.hidden = false;
    keep.focus();
  }

  answer() {
    this.asking.hidden = true;
    this.asked?.focus();
  }

  async remove(rows) {
    for (const row of rows) {
      await row.attempt(() => this.saving(async () => {
        await ask("DELETE", row.path);
        this.drop(row);
      }));
    }
    this.filter();
    this.tell();
  }

  report(text) {
    say(this.said, text);
  }

  /** Let the rest of the page know at once. */
  tell() {
    trigger("changed");
  }

  // --- keyboard ------------------------------------------------------------------------------------------------------

  enter(node) {
    const row = node.closest(".song-row")?.row;
    if (row && row !== this.current) this.setCurrent(row);
  }

  setCurrent(row) {
    this.current?.setTabbable(false);
    this.current = row ?? null;
    row?.setTabbable(true);
  }

  key(event) {
    const { target, key } = event;
    const isCommand = event.ctrlKey || event.metaKey;
    const row = target.closest(".song-row")?.row;
    const field = row && Object.values(row.fields).find((one) => one.node === target);
    if (isCommand && !field?.isTyped && ["z", "y"].includes(key.toLowerCase())) {
      event.preventDefault();
      (key.toLowerCase() === "y" || event.shiftKey ? this.redoing : this.undoing).click();
    } else if (isCommand && key === "a" && !["text", "textarea"].includes(target.type)) {
      event.preventDefault();
      this.selectAll(true);
    } else if (key === "Escape") this.leave(row, field);
    else if (row && target.dataset.column) this.move(event, row, Number(target.dataset.column), field);
  }

  /** Take back what is being typed; else close the panel of a track. */
  leave(row, field) {
    if (field?.isTyped) field.revert();
    else if (row?.isOpen) row.open(false), row.more.focus();
  }

  move(event, row, column, field) {
    const { target, key } = event;
    if (target.type === "select-one" && this.picks(event)) return;
    const isEnter = key === "Enter" && target.type === "text";
    if (isEnter) field.save();
    const rows = { ArrowUp: -1, ArrowDown: 1, PageUp: -PAGE_ROWS, PageDown: PAGE_ROWS }[key] ?? (isEnter ? 1 : 0);
    const columns = { ArrowLeft: -1, ArrowRight: 1 }[key] ?? 0;
    if ((!rows && !columns) || (columns && target.type === "text" && !isAtEdge(target, columns))) return;
    event.preventDefault();
    const place = Math.max(0, Math.min(this.shown.length - 1, this.shown.indexOf(row) + rows));
    const cell = this.shown[place].cells[column + columns];
    cell?.focus();
    if (cell?.type === "text") cell.select();
  }

  /** Whether a key is for the list of choices: it is open, or is opened. Else arrow keys go from row to row. */
  picks(event) {
    const { target, key, altKey } = event;
    const isOpen = "open" in target.dataset;
    if (isOpen && ["Escape", "Enter", " "].includes(key)) delete target.dataset.open;
    else if (altKey || ["Enter", " "].includes(key)) target.dataset.open = "";
    if (key === "Enter" && !isOpen) event.preventDefault(), target.showPicker?.();
    return isOpen || "open" in target.dataset;
  }
}

function isAtEdge({ selectionStart, selectionEnd, value }, direction) {
  const isWhole = selectionStart === 0 && selectionEnd === value.length;
  return isWhole || (selectionStart === selectionEnd && selectionStart === (direction < 0 ? 0 : value.length));
}

const table = new Table();
watch("value", () => table.show(props.value));
table.show(props.value);
