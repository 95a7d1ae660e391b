// Two songs, A and B: one plays, and the other one goes on at the same position where it is pressed.
//
// Gradio calls this with `element`, `props` and `watch`. `props.value` is [{title, url}, {title, url}] as JSON, or "".

const WIDTH = 800; // of a waveform, in columns
const HEIGHT = 64;

/** The loudest sample of each column, 0 to 1. */
function peaksOf(buffer) {
  const samples = buffer.getChannelData(0);
  const step = samples.length / WIDTH;
  return Array.from({ length: WIDTH }, (_, column) => {
    let peak = 0;
    for (let i = Math.floor(column * step); i < Math.floor((column + 1) * step); i++) peak = Math.max(peak, Math.abs(samples[i]));
    return peak;
  });
}

/** A song of the two: its button, and its waveform with what has played in another colour. */
class PairedSong {
  constructor(letter, pair) {
    this.letter = letter;
    this.pair = pair;
    this.button = make("button", { type: "button", class: "secondary sm cell", onclick: () => pair.press(this) });
    this.canvas = make("canvas", { width: WIDTH, height: HEIGHT, "aria-hidden": "true" });
    this.canvas.addEventListener("click", (event) => pair.jump(this, event.offsetX / this.canvas.clientWidth));
    this.node = make("li", { class: "paired-song" }, this.button, this.canvas);
  }

  show({ title, url }) {
    Object.assign(this, { title, url, peaks: null });
    this.pair.switcher.load(url).then((buffer) => {
      if (url !== this.url) return;
      Object.assign(this, { peaks: peaksOf(buffer), duration: buffer.duration });
      this.draw();
    }, this.pair.trouble);
    this.draw();
  }

  draw() {
    const { switcher } = this.pair;
    const isOn = switcher.url === this.url;
    const isPlaying = isOn && switcher.playing;
    say(this.button, `${isPlaying ? "⏸" : "▶"} ${this.letter}: ${this.title}`);
    this.button.setAttribute("aria-pressed", isOn);
    const brush = this.canvas.getContext("2d");
    brush.clearRect(0, 0, WIDTH, HEIGHT);
    const style = getComputedStyle(this.canvas);
    const played = this.peaks ? (switcher.position / this.duration) * WIDTH : 0;
    this.peaks?.forEach((peak, column) => {
      brush.fillStyle = style.getPropertyValue(column < played ? "--accent" : "--muted");
      const height = Math.max(1, peak * HEIGHT);
      brush.fillRect(column, (HEIGHT - height) / 2, 1, height);
    });
  }
}

class Pair {
  constructor() {
    this.switcher = new Switcher(() => this.draw());
    this.message = make("p", { class: "hint", role: "status" });
    this.trouble = () => say(this.message, "A song cannot be played. Reload the page.");
    this.songs = ["A", "B"].map((letter) => new PairedSong(letter, this));
    this.transport = new Transport(this.switcher, this.trouble);
    const list = make("ul", {}, ...this.songs.map(({ node }) => node));
    this.node = make("div", { class: "ladder pair", role: "group", "aria-label": "Two songs compared", hidden: true },
      list, this.transport.node, this.message);
    element.append(this.node);
    const timer = setInterval(() => {
      if (!this.node.isConnected) clearInterval(timer);
      else if (this.switcher.playing) this.songs.forEach((song) => song.draw());
    }, TICK_MS);
  }

  show(text) {
    if (text === this.shown) return;
    this.shown = text;
    this.switcher.stop();
    this.node.hidden = !text;
    if (text) JSON.parse(text).forEach((song, number) => this.songs[number].show(song));
  }

  press(song) {
    if (this.switcher.playing && this.switcher.url === song.url) this.switcher.pause();
    else this.play(song);
  }

  jump(song, share) {
    if (!song.peaks) return;
    this.switcher.pause();
    this.switcher.seek(share * song.duration);
    this.play(song);
  }

  play(song) {
    const others = this.songs.filter((other) => other !== song).map(({ url }) => url);
    this.switcher.play(song.url, others).catch(this.trouble);
  }

  draw() {
    this.songs?.forEach((song) => song.url && song.draw());
    const on = this.songs?.find(({ url }) => url === this.switcher.url);
    this.transport?.draw(on ? `${on.letter}: ${on.title}` : "");
  }
}

const pair = new Pair();
watch("value", () => pair.show(props.value));
pair.show(props.value);
