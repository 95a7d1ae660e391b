// What acts on the tracks of the table: steps to undo, one player for all, and changes of many at once.

const MAX_STEPS = 100;

/** Steps that were done and undone. A step is a list of {filename, name, before, after}. */
class History {
  constructor(changed) {
    Object.assign(this, { changed, done: [], undone: [] });
  }

  get last() {
    return this.done.at(-1);
  }

  add(changes) {
    const step = { changes };
    this.done = [...this.done, step].slice(-MAX_STEPS);
    this.undone = [];
    this.changed();
    return step;
  }

  clear() {
    Object.assign(this, { done: [], undone: [] });
    this.changed();
  }
}

/** One player for all rows, in sight while it is used. */
class Player {
  constructor(changed) {
    this.changed = changed;
    this.sound = make("audio", { controls: true, preload: "none" });
    this.name = make("b", { dir: "auto" });
    this.trouble = make("span", { class: "track-trouble", role: "alert" });
    this.node = make("div", { class: "transport", role: "group", "aria-label": "Player", hidden: true },
      this.sound, this.name, this.trouble);
    for (const event of ["play", "pause", "ended"]) this.sound.addEventListener(event, () => changed(this.row));
    this.sound.addEventListener("error", () => this.explain());
  }

  get isPlaying() {
    return !this.sound.paused;
  }

  press(row) {
    if (this.row === row && this.isPlaying) return this.sound.pause();
    const before = this.row;
    if (before !== row || this.loaded !== row.sound) this.load(row);
    if (before) this.changed(before);
    this.sound.play().catch(() => {}); // what is wrong comes as the event "error"
  }

  load(row) {
    Object.assign(this, { row, loaded: row.sound });
    this.node.hidden = false;
    this.sound.src = row.sound;
    this.sound.setAttribute("aria-label", `Play ${row.track.filename}`);
    say(this.name, row.track.filename);
    say(this.trouble, "");
  }

  /** The browser does not tell why a file does not play; REST does where it is gone. */
  async explain() {
    const { row } = this;
    if (!row) return;
    const answer = await fetch(row.sound, { headers: { Range: "bytes=0-0" } }).catch(() => null);
    const said = answer && !answer.ok ? await refusal(answer) : "This browser cannot play it.";
    if (row === this.row) say(this.trouble, said);
  }

  close() {
    this.row = null;
    this.sound.pause();
    this.sound.removeAttribute("src");
    this.node.hidden = true;
  }
}

/** What is done with all selected tracks at once. */
class Bulk {
  constructor(table) {
    this.table = table;
    this.count = make("b", { "aria-live": "polite" });
    this.words = make("input", { type: "text", dir: "auto", "aria-label": "Tags for the selected tracks",
      placeholder: "tags, separated by commas" });
    this.words.addEventListener("keydown", (event) => event.key === "Enter" && this.change("add_tags"));
    this.rights = choice([["", "Set rights…"], ...RIGHTS], { "aria-label": "Rights of the selected tracks" });
    this.rights.addEventListener("change", () => this.setRights());
    this.node = make("div", { class: "bulk", role: "group", "aria-label": "Selected tracks", hidden: true },
      this.count, this.words, press("Add tags", () => this.change("add_tags")),
      press("Remove tags", () => this.change("remove_tags")),
      press("Put first (trigger word)", () => this.change("trigger_word")), this.rights,
      press("Clean…", () => table.cleaning.toggle()),
      press("🗑️ Remove…", () => table.askToRemove(table.selected)), press("Select none", () => table.selectAll(false)),
      table.cleaning.node);
  }

  draw() {
    const { length } = this.table.selected;
    this.node.hidden = !length;
    say(this.count, `${counted(length, "track")} selected`);
  }

  async change(name) {
    const words = valueOf(this.words.value, "tags");
    if (!words.length) return this.words.focus();
    const value = name === "trigger_word" ? this.words.value.trim() : words;
    if (await this.table.changeSelected("tags", { [name]: value })) this.words.value = "";
  }

  async setRights() {
    const rights = this.rights.value;
    this.rights.value = "";
    if (rights) await this.table.changeSelected("rights", { rights });
  }
}
