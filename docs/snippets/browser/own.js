let position, failures = 0;

function connect() {
  const url = new URL("/room/tea/", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  // Go on after the last message that this page has.
  if (position) url.searchParams.set("after", position);
  const socket = new WebSocket(url);
  let steady;
  socket.onopen = () => {
    // A server that accepts and fails at once must not be asked without a pause.
    steady = setTimeout(() => { failures = 0; }, 5000);
  };
  socket.onmessage = ({data}) => {
    const message = JSON.parse(data);
    position = message.position ?? position;
    show(message);
  };
  socket.onclose = ({code}) => {
    clearTimeout(steady);
    if (code === 4401) return showLogin();
    // Twice as long after each failure, and not all pages equally long.
    const delay = Math.min(500 * 2 ** failures++, 15000);
    setTimeout(connect, delay * (0.5 + Math.random() / 2));
  };
}

connect();
