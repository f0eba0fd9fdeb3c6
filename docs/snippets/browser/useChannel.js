import {useCallback, useEffect, useRef, useState} from "react";
import {Channel} from "./channel.js";

/** Connect to a consumer as long as the component is mounted. */
export function useChannel(address, onMessage, options) {
  const channel = useRef(null);
  // The newest function is called, without a new connection for each.
  const latest = useRef(onMessage);
  latest.current = onMessage;
  const [state, setState] = useState("closed");
  const [seconds, setSeconds] = useState(null);

  useEffect(() => {
    const made = channel.current = new Channel(address, options);
    made.addEventListener("message", ({detail}) => latest.current(detail));
    made.addEventListener("state", ({detail}) => setState(detail.state));
    made.addEventListener("countdown", ({detail}) => setSeconds(detail.seconds));
    made.connect();
    return () => made.close();
  }, [address]);

  const send = useCallback((message) => channel.current?.send(message) ?? false, []);
  return {state, seconds, send};
}
