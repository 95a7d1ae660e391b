// The ladder of a job: the songs of its rungs in a grid, played at one position, and blind tests between rung and base.
//
// Gradio calls this with `element`, `trigger`, `props` and `watch`. `props.value` is what ui/ladder_view.py makes, as
// JSON; all of its texts become text nodes. The elements outlive every new value, and with them focus, choice and
// playback.

/** One line of the grid: a rung with its songs, its figures in words and what can be done with it. */
class Rung {
  constructor(ladder) {
    this.ladder = ladder;
    this.cells = [];
    this.title = make("h4");
    this.badges = make("span", { class: "rung-badges" });
    this.star = make("button", { type: "button", class: "star", onclick: () => this.act("star") });
    this.songs = make("div", { class: "rung-songs", role: "group" });
    this.words = make("ul", { class: "rung-words" });
    this.actions = make("div", { class: "rung-actions" });
    this.use = make("button", { type: "button", class: "sm", onclick: () => this.act("activate") }, "Activate this one");
    const head = make("div", { class: "rung-head" }, this.title, this.star, this.badges);
    this.node = make("li", { class: "rung" }, head, this.songs, this.words, this.actions);
  }

  draw(data) {
    this.data = data;
    say(this.title, data.title);
    this.node.classList.toggle("recommended", data.is_recommended);
    this.badges.replaceChildren(...data.badges.map(([kind, text]) => make("span", { class: `badge badge-${kind}` }, text)));
    this.star.hidden = data.is_base;
    say(this.star, data.starred ? "★" : "☆");
    this.star.setAttribute("aria-pressed", data.starred);
    this.star.setAttribute("aria-label", `Star ${data.title}`);
    this.words.replaceChildren(...data.words.map(([kind, text]) => make("li", { class: `word-${kind}`, dir: "auto" }, text)));
    this.songs.setAttribute("aria-label", `Songs of ${data.title}`);
    data.sounds.forEach((url, number) => this.cell(number));
    this.mark();
    this.use.classList.toggle("primary", data.is_recommended);
    if (!this.actions.childElementCount) this.offer();
  }

  cell(number) {
    if (this.cells[number]) return;
    const button = make("button", { type: "button", class: "secondary sm cell", "data-song": number });
    button.addEventListener("click", () => this.ladder.press(this, number));
    button.addEventListener("keydown", (event) => this.ladder.move(event, this, number));
    this.cells[number] = button;
    this.songs.append(button);
  }

  /** Show which songs are there, and which one plays. */
  mark() {
    this.cells.forEach((button, number) => {
      const url = this.data.sounds[number];
      const isOn = url !== null && this.ladder.switcher.url === url;
      const isPlaying = isOn && this.ladder.switcher.playing;
      button.disabled = url === null;
      button.setAttribute("aria-pressed", isOn);
      button.setAttribute("aria-label", `${isPlaying ? "Pause" : "Play"} song ${number + 1} of ${this.data.title}`);
      say(button, `${isPlaying ? "⏸" : url === null ? "…" : "▶"} Song ${number + 1}`);
    });
  }

  offer() {
    if (this.data.is_base) return;
    const act = (text, kind) =>
      make("button", { type: "button", class: "secondary sm", onclick: () => this.act(kind) }, text);
    const more = make("details", {}, make("summary", {}, "More"), make("div", {},
      act("Keep as a style", "keep"), act("Download", "download"), act("Train further from here", "further")));
    this.actions.append(this.use, more);
  }

  act(action) {
    this.ladder.send(action, { step: this.data.step, starred: !this.data.starred });
  }
}

/** A blind test between a rung and the base: two songs a round, of which nothing on the page tells which is which. */
class Blind {
  constructor(ladder) {
    this.ladder = ladder;
    this.step = make("select", { "aria-label": "Rung to test" });
    this.question = make("select", { "aria-label": "Question" });
    const start = make("button", { type: "button", class: "primary sm" }, "Start");
    start.addEventListener("click", () => {
      ladder.send("audition", { step: Number(this.step.value), question: this.question.value });
    });
    this.form = make("div", { class: "blind-form" }, this.step, this.question, start);
    this.round = make("div", { class: "blind-round", role: "group", "aria-label": "Blind test", hidden: true });
    this.head = make("p", { "aria-live": "polite" });
    this.plays = ["a", "b"].map((side, place) => make("button",
      { type: "button", class: "secondary sm cell", onclick: () => this.listen(side) }, `▶ ${place ? "Second" : "First"}`));
    this.votes = ["a", "b"].map((side, place) => make("button",
      { type: "button", class: "primary sm", onclick: () => this.vote(side) }, place ? "It is the second" : "It is the first"));
    this.round.append(this.head, make("div", { class: "blind-buttons" }, ...this.plays),
      make("div", { class: "blind-buttons" }, ...this.votes));
    this.results = make("ul", { class: "blind-results", "aria-live": "polite" });
    this.node = make("details", { class: "blind" }, make("summary", {}, "Blind test"),
      make("p", { class: "hint" }, "Two songs of the same seed, one by the base and one by a rung, in hidden order."),
      this.results, this.round, this.form);
  }

  draw(data) {
    this.choose(this.step, data.rungs.filter((rung) => rung.can_be_tested).map((rung) => [rung.step, rung.title]),
      data.recommended_step);
    this.choose(this.question, data.questions);
    this.node.hidden = !this.step.options.length && !data.auditions.length;
    this.results.replaceChildren(...data.auditions.filter((one) => one.sentence)
      .map((one) => make("li", {}, make("b", {}, one.sentence), ` ${one.about}`)));
    const [before, heard] = [this.audition, this.trial];
    this.audition = data.auditions.find((one) => !one.sentence);
    this.trial = this.audition?.trials.find((trial) => trial.choice === null);
    if (heard && heard.a !== this.trial?.a) this.ladder.silence([heard.a, heard.b]);
    this.form.hidden = Boolean(this.trial);
    this.round.hidden = !this.trial;
    if (this.trial) this.ask();
    if (this.trial && before?.id !== this.audition.id) this.node.open = true;
  }

  /** Fill a choice, and keep what a person has chosen. */
  choose(select, options, preferred) {
    if (select.options.length === options.length) return;
    const chosen = select.value || String(preferred ?? "");
    select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
    if (options.some(([value]) => String(value) === chosen)) select.value = chosen;
  }

  ask() {
    const { trials, ask, about } = this.audition;
    const done = trials.filter((trial) => trial.choice !== null).length;
    say(this.head, `${done + 1} of ${trials.length}: ${ask} (${about})`);
    this.mark();
  }

  listen(side) {
    const other = this.trial[side === "a" ? "b" : "a"];
    this.ladder.listen(this.trial[side], [other]);
  }

  vote(choice) {
    this.ladder.send("vote", { audition: this.audition.id, trial: this.trial.number, choice });
  }

  mark() {
    this.plays.forEach((button, place) => {
      const isOn = Boolean(this.trial) && this.ladder.switcher.url === this.trial[place ? "b" : "a"];
      button.setAttribute("aria-pressed", isOn);
    });
  }

  /** What plays, without telling; null where it is nothing of this test. */
  name(url) {
    const place = ["a", "b"].findIndex((side) => this.trial?.[side] === url);
    return place < 0 ? null : place ? "Second" : "First";
  }
}

class Ladder {
  constructor() {
    this.switcher = new Switcher(() => this.mark());
    this.transport = new Transport(this.switcher, () => this.complain());
    this.blind = new Blind(this);
    this.rungs = new Map();
    this.reason = make("p");
    this.songs = make("ul", { class: "hint rung-legend" });
    this.trouble = make("p", { role: "alert", class: "hint", hidden: true }, "This song cannot be played. Reload the page.");
    this.list = make("ol", { class: "rungs" });
    this.node = make("section", { class: "ladder", "aria-label": "Ladder", hidden: true }, make("h3", {}, "Ladder"),
      this.reason, this.songs, this.list, this.transport.node, this.trouble, this.blind.node);
    element.append(this.node);
  }

  draw(text) {
    const data = text ? JSON.parse(text) : null;
    if (this.data?.job !== data?.job) this.clear();
    this.data = data;
    this.node.hidden = !data;
    if (!data) return;
    say(this.reason, data.reason);
    this.songs.replaceChildren(...data.songs.map((song) => make("li", { dir: "auto" }, song)));
    const steps = new Set(data.rungs.map((rung) => rung.step));
    this.rungs.forEach((rung, step) => !steps.has(step) && (rung.node.remove(), this.rungs.delete(step)));
    data.rungs.forEach((rung) => this.rung(rung.step).draw(rung));
    this.blind.draw(data);
  }

  clear() {
    this.switcher.stop();
    this.rungs.clear();
    this.list.replaceChildren();
    this.blind.node.open = false;
  }

  rung(step) {
    if (!this.rungs.has(step)) {
      const rung = new Rung(this);
      this.rungs.set(step, rung);
      this.list.append(rung.node);
    }
    return this.rungs.get(step);
  }

  /** Play a song from where the last one is; the one that plays pauses. */
  press(rung, number) {
    const url = rung.data.sounds[number];
    if (this.switcher.playing && this.switcher.url === url) return this.switcher.pause();
    this.listen(url, this.data.rungs.map((other) => other.sounds[number]).filter(Boolean));
  }

  listen(url, others) {
    this.trouble.hidden = true;
    this.switcher.play(url, others).catch(() => this.complain());
  }

  complain() {
    this.trouble.hidden = false;
  }

  /** Stop where one of these plays. */
  silence(urls) {
    if (urls.includes(this.switcher.url)) this.switcher.stop();
  }

  /** Arrow keys go from song to song, and take along what plays. */
  move(event, rung, number) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const rungs = [...this.rungs.values()];
    const next = rungs[rungs.indexOf(rung) + step[0]];
    const button = next?.cells[number + step[1]];
    if (!button || button.disabled) return;
    button.focus();
    if (this.switcher.playing) this.press(next, number + step[1]);
  }

  mark() {
    if (!this.data) return;
    for (const rung of this.rungs.values()) rung.mark();
    this.blind.mark();
    this.transport.draw(this.blind.name(this.switcher.url) ?? this.name(this.switcher.url));
  }

  name(url) {
    for (const rung of this.data.rungs) {
      const number = rung.sounds.indexOf(url);
      if (url && number >= 0) return `${rung.title}, song ${number + 1}`;
    }
    return "";
  }

  send(action, details) {
    trigger(action === "download" ? "download" : action === "further" ? "further" : "act",
      { job: this.data.job, action, ...details });
  }
}

const ladder = new Ladder();
watch("value", () => ladder.draw(props.value));
ladder.draw(props.value);
