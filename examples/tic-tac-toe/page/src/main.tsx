// Where the page begins: a room, and a session in it.

import { SessionProvider } from "@wirelark/client/react";
import { StrictMode, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { game } from "./game.js";
import { player } from "./player.js";
import { Room } from "./room.js";
import "./page.css";

/** The part of the URL behind the `#`. */
function room(): string {
  return location.hash.slice(1);
}

function onRoom(changed: () => void): () => void {
  addEventListener("hashchange", changed);
  return () => removeEventListener("hashchange", changed);
}

function Page() {
  const name = useSyncExternalStore(onRoom, room) || "lobby";
  // With another key it is another session, and everything inside begins anew.
  return (
    <SessionProvider key={name} contract={game} options={{ url: `/game/${name}?player=${player}` }}>
      <Room />
    </SessionProvider>
  );
}

// An address to pass on: whoever opens it comes to the same room.
if (room() === "") history.replaceState(null, "", `#${Math.random().toString(36).slice(2, 8)}`);

const root = document.getElementById("page");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <Page />
    </StrictMode>,
  );
}
