// Plays a song while it is made: what has come can be played, paused and sought in, and what comes follows without a gap.
//
// Gradio calls this with `element`, `props` and `watch`. `props.value` is {id, url, is_made} as JSON, or "" for nothing.
// The address gives WAV of unknown length, 16 bits in stereo.

const HEADER_BYTES = 44;
const RATE_OFFSET = 24;
const FRAME_BYTES = 4;
const FULL_SCALE = 32768;
const START_SEC = 0.05; // until the first sound, so that its start is not missed
const AHEAD_SEC = 10; // that are scheduled at once
const TICK_MS = 100;

/** The samples of a song as far as they have come, in pieces of [left, right, left, …]. */
class Recording {
  constructor(url, changed) {
    this.changed = changed;
    this.pieces = [];
    this.samples = 0;
    this.isWhole = false;
    this.stopping = new AbortController();
    this.read(url).catch((error) => error.name !== "AbortError" && this.fail());
  }

  get duration() {
    return this.rate ? this.samples / this.rate : 0;
  }

  async read(url) {
    const answer = await fetch(url, { signal: this.stopping.signal });
    if (!answer.ok) throw new Error(`${answer.status}`);
    const reader = answer.body.getReader();
    let rest = new Uint8Array();
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      const bytes = new Uint8Array(rest.length + value.length);
      bytes.set(rest);
      bytes.set(value, rest.length);
      rest = this.take(bytes);
    }
    this.isWhole = true;
    this.changed();
  }

  /** Keep whole samples; return the bytes behind them. */
  take(bytes) {
    if (!this.rate) {
      if (bytes.length < HEADER_BYTES) return bytes;
      this.rate = new DataView(bytes.buffer).getUint32(RATE_OFFSET, true);
      bytes = bytes.slice(HEADER_BYTES);
    }
    const end = bytes.length - (bytes.length % FRAME_BYTES);
    if (end > 0) {
      const values = new Int16Array(bytes.slice(0, end).buffer);
      this.pieces.push({ start: this.samples, values });
      this.samples += values.length / 2;
      this.changed();
    }
    return bytes.slice(end);
  }

  fail() {
    this.hasFailed = true;
    this.changed();
  }

  stop() {
    this.stopping.abort();
  }
}

/** Sound of a piece from its sample `from` on. */
function soundOf({ values }, from, rate) {
  const sound = new AudioBuffer({ numberOfChannels: 2, length: values.length / 2 - from, sampleRate: rate });
  for (const channel of [0, 1]) {
    const samples = sound.getChannelData(channel);
    for (let i = 0; i < samples.length; i++) samples[i] = values[2 * (from + i) + channel] / FULL_SCALE;
  }
  return sound;
}

class LivePlayer {
  constructor() {
    this.button = make("button", { class: "secondary sm", type: "button", onclick: () => this.press() });
    this.range = make("input", { type: "range", min: 0, step: 0.01, value: 0, "aria-label": "Position" });
    this.range.addEventListener("input", () => this.seek(Number(this.range.value)));
    this.time = make("span", { class: "hint" });
    this.node = make("div", { class: "transport live", role: "group", "aria-label": "Song while it is made", hidden: true },
      this.button, this.range, this.time);
    element.append(this.node);
    this.rest = 0; // the position while nothing plays
    const timer = setInterval(() => {
      if (!this.node.isConnected) clearInterval(timer), this.close();
      else if (this.playing) this.schedule(), this.draw();
    }, TICK_MS);
  }

  show(text) {
    const value = text ? JSON.parse(text) : null;
    const isMade = value?.is_made ?? false;
    if (value?.id !== this.id) this.close();
    if (value && !this.recording && !isMade) {
      this.id = value.id;
      this.recording = new Recording(value.url, () => this.playing ? (this.schedule(), this.draw()) : this.draw());
    }
    this.isMade = isMade;
    this.draw();
  }

  close() {
    this.pause();
    this.recording?.stop();
    Object.assign(this, { id: null, recording: null, rest: 0 });
  }

  get playing() {
    return Boolean(this.sources);
  }

  get position() {
    if (!this.playing) return this.rest;
    return Math.max(0, Math.min(this.context.currentTime - this.zero, this.recording.duration));
  }

  press() {
    if (this.playing) this.pause();
    else this.play();
  }

  async play() {
    const { recording } = this;
    this.context ??= new AudioContext({ sampleRate: recording.rate });
    await this.context.resume();
    if (recording !== this.recording || this.playing) return;
    const from = Math.round(this.rest * recording.rate);
    const next = recording.pieces.findIndex(({ start, values }) => start + values.length / 2 > from);
    const zero = this.context.currentTime + START_SEC - this.rest;
    Object.assign(this, { sources: new Set(), zero, from, next: next < 0 ? recording.pieces.length : next });
    this.schedule();
    this.draw();
  }

  /** Start what has come and is soon to be heard. What comes too late moves the rest. */
  schedule() {
    const { recording, context } = this;
    while (this.next < recording.pieces.length) {
      const piece = recording.pieces[this.next];
      const from = Math.max(0, this.from - piece.start);
      let when = this.zero + (piece.start + from) / recording.rate;
      if (when > context.currentTime + AHEAD_SEC) return;
      if (when < context.currentTime) {
        this.zero += context.currentTime + START_SEC - when;
        when = context.currentTime + START_SEC;
      }
      const source = new AudioBufferSourceNode(context, { buffer: soundOf(piece, from, recording.rate) });
      source.connect(context.destination);
      source.start(when);
      source.onended = () => this.sources?.delete(source);
      this.sources.add(source);
      this.next++;
    }
    if (recording.isWhole && this.position >= recording.duration) this.pause(), (this.rest = 0);
  }

  pause() {
    this.rest = this.position;
    this.sources?.forEach((source) => source.stop());
    this.sources = null;
    this.draw();
  }

  seek(position) {
    const wasPlaying = this.playing;
    if (wasPlaying) this.pause();
    this.rest = position;
    if (wasPlaying) this.play();
    else this.draw();
  }

  /** Hidden before anything has come; and once the song is made, unless it plays or rests within. */
  draw() {
    const { recording } = this;
    this.node.hidden = !recording?.samples || (this.isMade && !this.playing && this.rest === 0);
    if (this.node.hidden) return;
    const { duration, isWhole, hasFailed } = recording;
    say(this.button, this.playing ? "Pause" : isWhole ? "▶ Play" : "▶ Play what is there");
    this.range.max = duration;
    this.range.value = this.position;
    this.range.setAttribute("aria-valuetext", `${this.position.toFixed(0)} of ${duration.toFixed(0)} seconds`);
    const ending = isWhole ? "" : hasFailed ? " (it was cut off)" : " so far";
    say(this.time, `${this.position.toFixed(1)} / ${duration.toFixed(1)} s${ending}`);
  }
}

const player = new LivePlayer();
watch("value", () => player.show(props.value));
player.show(props.value);
