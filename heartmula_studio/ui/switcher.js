// What several scripts of the page play songs with: one recording out of several, at one position, and the bar for it.

const FADE_SEC = 0.012;
const TICK_MS = 100;

/** One recording at a time out of several; another one goes on at the same position, without a gap. */
class Switcher {
  constructor(changed) {
    this.changed = changed;
    this.sounds = new Map();
    this.url = null;
    this.source = null;
    this.rest = 0; // the position while nothing plays
    this.wanted = 0;
  }

  get playing() {
    return this.source !== null;
  }

  get position() {
    return this.playing ? Math.max(0, this.context.currentTime - this.zero) : this.rest;
  }

  get duration() {
    return this.buffer?.duration ?? 0;
  }

  /** Fetch and decode, once. */
  load(url) {
    this.context ??= new AudioContext();
    if (!this.sounds.has(url)) {
      const sound = fetch(url)
        .then((answer) => (answer.ok ? answer.arrayBuffer() : Promise.reject(new Error(`${answer.status}`))))
        .then((bytes) => this.context.decodeAudioData(bytes));
      sound.catch(() => this.sounds.delete(url)); // to be tried again
      this.sounds.set(url, sound);
    }
    return this.sounds.get(url);
  }

  /** Play a recording from where the last one is, and get `others` ready. */
  async play(url, others = []) {
    const turn = ++this.wanted;
    const loading = this.load(url);
    await this.context.resume();
    const buffer = await loading;
    if (turn !== this.wanted) return;
    const position = this.position < buffer.duration ? this.position : 0;
    const when = this.context.currentTime;
    this.fade(when);
    const gain = new GainNode(this.context, { gain: 0 });
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(gain).connect(this.context.destination);
    gain.gain.setValueAtTime(0, when);
    gain.gain.linearRampToValueAtTime(1, when + FADE_SEC);
    source.start(when, position);
    source.onended = () => source === this.source && this.rewind();
    Object.assign(this, { url, buffer, source, gain, zero: when - position });
    this.changed();
    others.forEach((other) => this.load(other).catch(() => {}));
  }

  pause() {
    this.wanted++;
    this.rest = this.position;
    this.fade();
    this.changed();
  }

  seek(position) {
    this.rest = position;
    if (!this.playing) return this.changed();
    this.fade();
    this.play(this.url);
  }

  stop() {
    this.fade();
    this.wanted++;
    this.sounds.clear();
    Object.assign(this, { url: null, buffer: null, rest: 0 });
    this.changed();
  }

  rewind() {
    Object.assign(this, { source: null, rest: 0 });
    this.changed();
  }

  fade(when = this.context?.currentTime) {
    if (!this.playing) return;
    this.gain.gain.setValueAtTime(1, when);
    this.gain.gain.linearRampToValueAtTime(0, when + FADE_SEC);
    this.source.stop(when + 2 * FADE_SEC);
    this.source = null;
  }
}

/** The bar with position and name of what plays; hidden until something has played. */
class Transport {
  constructor(switcher, trouble) {
    this.switcher = switcher;
    this.button = make("button", { class: "secondary sm", type: "button", onclick: () => this.press() }, "Pause");
    this.range = make("input", { type: "range", min: 0, step: 0.01, value: 0, "aria-label": "Position" });
    this.range.addEventListener("input", () => switcher.seek(Number(this.range.value)));
    this.time = make("span", { class: "hint" });
    this.name = make("b", { dir: "auto", "aria-live": "polite" });
    this.node = make("div", { class: "transport", hidden: true }, this.button, this.range, this.time, this.name);
    this.trouble = trouble;
    const timer = setInterval(() => {
      if (!this.node.isConnected) clearInterval(timer), switcher.stop();
      else if (switcher.playing) this.tick();
    }, TICK_MS);
  }

  press() {
    if (this.switcher.playing) this.switcher.pause();
    else this.switcher.play(this.switcher.url).catch(this.trouble);
  }

  draw(name) {
    this.node.hidden = this.switcher.url === null;
    say(this.button, this.switcher.playing ? "Pause" : "Play");
    say(this.name, name);
    this.range.max = this.switcher.duration;
    this.tick();
  }

  tick() {
    const { position, duration } = this.switcher;
    this.range.value = position;
    this.range.setAttribute("aria-valuetext", `${position.toFixed(0)} of ${duration.toFixed(0)} seconds`);
    say(this.time, `${position.toFixed(1)} / ${duration.toFixed(1)} s`);
  }
}
