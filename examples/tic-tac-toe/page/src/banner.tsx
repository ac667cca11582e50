// What is wrong with the connection, if anything is.

import { useSession, useStatus } from "@wirelark/client/react";
import { useEffect, useState, useSyncExternalStore } from "react";
import { game } from "./game.js";

export function Banner() {
  const session = useSession(game);
  const status = useStatus(game);
  const seconds = useSecondsLeft();
  if (status === "reconnecting") {
    return (
      <div className="banner" role="status">
        <span>{seconds > 0 ? `Reconnecting in ${seconds} s…` : "Reconnecting…"}</span>
        <button type="button" onClick={() => session.connect()}>
          Try now
        </button>
      </div>
    );
  }
  if (status === "closed") {
    // Also when server and page are of different versions: the page that is there now fits.
    return (
      <div className="banner" role="status">
        <span>{`The server has closed the connection: ${session.closed?.reason || session.closed?.code}`}</span>
        <button type="button" onClick={() => location.reload()}>
          Reload
        </button>
      </div>
    );
  }
  return null;
}

/** Seconds until the next attempt to connect. */
function useSecondsLeft(): number {
  const session = useSession(game);
  // Each wait is another object, and a status listener hears of each.
  const retry = useSyncExternalStore(
    (changed) => session.onStatus(changed),
    () => session.retry,
  );
  const [now, setNow] = useState(0);
  const [until, setUntil] = useState(0);
  useEffect(() => {
    if (retry === undefined) return;
    const tick = () => setNow(performance.now());
    tick();
    setUntil(performance.now() + retry.delay);
    const timer = setInterval(tick, 250);
    return () => clearInterval(timer);
  }, [retry]);
  return Math.max(0, Math.ceil((until - now) / 1000));
}
