// The pages of a table whose tracks are too many to draw at once: what the server finds of them, in its order.

const PAGE_TRACKS = 200;
const TYPING_MS = 250;

class Pages {
  constructor(table) {
    this.table = table;
    this.previous = press("‹ Previous", () => this.turn(-1));
    this.next = press("Next ›", () => this.turn(1));
    this.place = make("span", { class: "hint", role: "status" });
    this.node = make("nav", { class: "track-tools", "aria-label": "Pages of tracks" }, this.previous, this.place, this.next);
    this.clear();
  }

  clear() {
    clearTimeout(this.timer);
    Object.assign(this, { isOn: false, cursors: [""], following: "", found: 0 });
    this.draw(0, 0);
  }

  /** Return the tracks to show: all of a dataset, or a page where an answer does not hold all of them. */
  async tracksOf(path) {
    if (!this.isOn) {
      const dataset = await (await ask("GET", path)).json();
      if (dataset.num_files === dataset.audio_files.length) return dataset.audio_files;
    }
    const answer = await ask("GET", `${path}/tracks?${this.query}`);
    return { tracks: await answer.json(), answer };
  }

  get query() {
    const { words, kind, order, isReversed } = this.table;
    return new URLSearchParams({ q: words.value, show: kind.value, order, reverse: Boolean(isReversed), limit: PAGE_TRACKS,
      cursor: this.cursors.at(-1) });
  }

  /** Take what came with a page; return its tracks. */
  take(found) {
    if (Array.isArray(found)) return found;
    const { tracks, answer } = found;
    const [total, start] = ["X-Total-Count", "X-First-Number"].map((name) => Number(answer.headers.get(name)));
    Object.assign(this, { isOn: true, found: total, following: answer.headers.get("X-Next-Cursor") ?? "" });
    this.draw(start, tracks.length);
    return tracks;
  }

  draw(start, count) {
    this.node.hidden = !this.isOn;
    this.previous.disabled = this.cursors.length === 1;
    this.next.disabled = !this.following;
    const numbers = count ? `${(start + 1).toLocaleString()} to ${(start + count).toLocaleString()} of ` : "";
    say(this.place, `${numbers}${counted(this.found, "track")}`);
  }

  turn(step) {
    this.cursors = step > 0 ? [...this.cursors, this.following] : this.cursors.slice(0, -1);
    this.leave();
  }

  /** Look for what is asked for now, from the first page on. */
  begin() {
    if (!this.isOn) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.cursors = [""];
      this.leave();
    }, TYPING_MS);
  }

  /** What can be undone is on the page that is left. */
  leave() {
    this.table.saveAll();
    this.table.history.clear();
    this.table.load();
  }
}
