/**
 * A WebSocket that carries JSON, reconnects by itself, and goes on where it was.
 *
 *   import {Channel} from "./channel.js";
 *
 *   const channel = new Channel("/ws/rooms/tea/");
 *   channel.addEventListener("message", ({detail}) => show(detail));
 *   channel.addEventListener("state", ({detail}) => showState(detail.state));
 *   channel.addEventListener("countdown", ({detail}) => showWait(detail.seconds));
 *   channel.connect();
 *   if (!channel.send({text: "hello"})) keepTheText();
 *
 * Its states: "closed" (at first, and after close()), "connecting", "open", "waiting" (for the next
 * attempt), "ended" (the server wants no further attempt).
 *
 * Events, each with its data in `event.detail`:
 *
 *   state      {state, code, reason}  The state has changed. Code and reason are those of the WebSocket
 *                                     that closed, if one did.
 *   countdown  {seconds}              In "waiting": the whole seconds until the next attempt, each second.
 *   message    the message            The server has sent a message.
 */
export class Channel extends EventTarget {
  state = "closed";
  // The `position` of the last message that had one. The next connection asks for what comes after it.
  position;
  #address; #options; #socket; #ticking; #steady; #silent; #watch; #failures = 0; #due = 0;

  /**
   * @param {string} address  Path or URL of the consumer.
   * @param {object} [options]
   * @param {string} [options.position]  Where to start, if the page already shows messages.
   * @param {string} [options.parameter]  The name of the position in the query string.
   * @param {string[]} [options.protocols]  The subprotocols to offer.
   * @param {number} [options.shortest]  Milliseconds before the first new attempt.
   * @param {number} [options.longest]  Milliseconds before an attempt, at most.
   * @param {number} [options.steady]  A connection that held for so many milliseconds was no failure.
   * @param {(code: number) => boolean} [options.isFinal]  Whether a close code ends it all.
   * @param {() => Promise<boolean>} [options.isRefused]  Whether the server would refuse each attempt.
   *     It is asked when a handshake has failed, because a browser does not tell the reason.
   * @param {object} [options.probe]  A message that the server answers. It is sent when the page comes
   *     back into view, to find out whether the connection still works.
   * @param {number} [options.patience]  Milliseconds to wait for that answer.
   */
  constructor(address, options = {}) {
    super();
    this.#address = address;
    this.#options = {
      parameter: "after", protocols: [], shortest: 500, longest: 15000, steady: 5000, patience: 5000,
      isFinal: (code) => code >= 4400 && code < 4500 && code !== 4429, isRefused: async () => false,
      ...options,
    };
    this.position = this.#options.position;
  }

  /** Connect now: at first, after close(), or before the countdown has ended. */
  connect() {
    if (this.state === "connecting" || this.state === "open") return;
    this.#drop();
    this.#listen();
    const url = new URL(this.#address, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.position != null) url.searchParams.set(this.#options.parameter, this.position);
    const socket = this.#socket = new WebSocket(url, this.#options.protocols);
    socket.onopen = () => {
      // A server that accepts and fails at once counts as a failure.
      this.#steady = setTimeout(() => { this.#failures = 0; }, this.#options.steady);
      this.#change("open");
    };
    socket.onmessage = ({data}) => {
      clearTimeout(this.#silent);
      const message = JSON.parse(data);
      this.position = message?.position ?? this.position;
      this.#tell("message", message);
    };
    socket.onclose = (event) => this.#lost(event);
    this.#change("connecting");
  }

  /** Send a message; return whether it was sent. It was not if the state is not "open". */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Close the connection, and do not reconnect. */
  close() {
    this.#drop();
    this.#watch?.abort();
    this.#change("closed");
  }

  async #lost({code, reason}) {
    const refused = this.state === "connecting" && this.#socket;
    this.#drop();
    // What happens while the question is open has the last word.
    const state = this.state;
    const final = this.#options.isFinal(code) || refused && await this.#options.isRefused();
    if (this.state !== state || this.#socket) return;
    if (final) return this.#change("ended", {code, reason});
    // Wait twice as long after each failure, and not all visitors equally long: when a server is
    // back, they must not all come at once.
    const {shortest, longest} = this.#options;
    const delay = Math.min(shortest * 2 ** this.#failures++, longest) * (0.5 + Math.random() / 2);
    this.#due = Date.now() + delay;
    this.#change("waiting", {code, reason});
    this.#tick();
  }

  #tick() {
    if (this.state !== "waiting") return;
    const left = this.#due - Date.now();
    if (left <= 0) return this.connect();
    const seconds = Math.ceil(left / 1000);
    this.#tell("countdown", {seconds});
    // Until the number changes. A handler may have ended the wait.
    if (this.state === "waiting") {
      this.#ticking = setTimeout(() => this.#tick(), left - (seconds - 1) * 1000);
    }
  }

  // A channel that is closed leaves no listeners behind.
  #listen() {
    this.#watch?.abort();
    this.#watch = new AbortController();
    const {signal} = this.#watch;
    for (const name of ["online", "pageshow"]) addEventListener(name, () => this.#hurry(), {signal});
    const look = () => document.hidden || this.#hurry();
    document.addEventListener("visibilitychange", look, {signal});
  }

  // The network is back, or the visitor looks at the page again.
  #hurry() {
    if (this.state === "waiting") return this.connect();
    // A computer that slept has not heard that the server has gone.
    if (!this.#options.probe || !this.send(this.#options.probe)) return;
    clearTimeout(this.#silent);
    this.#silent = setTimeout(
      () => this.#lost({code: 1006, reason: "no answer"}), this.#options.patience);
  }

  // Forget the WebSocket, whose events no longer count, and everything that waits.
  #drop() {
    for (const timer of [this.#ticking, this.#steady, this.#silent]) clearTimeout(timer);
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = undefined;
  }

  #change(state, closed = {}) {
    this.state = state;
    this.#tell("state", {state, ...closed});
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, {detail}));
  }
}
