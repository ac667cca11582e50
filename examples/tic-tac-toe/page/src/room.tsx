// A room: who plays, the board between them, and what the reader can do.

import { useCall, usePush, useStatus } from "@wirelark/client/react";
import { type FormEvent, useEffect, useState } from "react";
import { Banner } from "./banner.js";
import { BoardView } from "./board.js";
import { type Board, game, type Mark, type People, type State } from "./game.js";
import { keepName, playerName } from "./player.js";

export function Room() {
  const status = useStatus(game);
  const [board, setBoard] = useState<Board>();
  const [people, setPeople] = useState<People>();
  const [error, setError] = useState<Error>();
  const [mark, setMark] = useState<Mark>();
  const join = useCall(game, "join");
  const place = useCall(game, "place");
  const again = useCall(game, "again");

  usePush(game, "peopleChanged", setPeople);
  usePush(game, "boardChanged", (changed) => {
    setBoard(changed);
    // What was wrong was wrong with the board before.
    setError(undefined);
  });

  /** Says what went wrong, until something else is tried. */
  function attempt(call: Promise<unknown>) {
    setError(undefined);
    call.catch(setError);
  }

  async function sit(name: string) {
    try {
      setMark(await join.call({ name }));
      keepName(name);
    } catch (error) {
      setMark(undefined);
      throw error;
    }
  }

  // Each connection begins without a seat: who had one asks for it.
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is about connections only
  useEffect(() => {
    const name = playerName();
    if (status === "open" && name !== undefined) attempt(sit(name));
  }, [status]);

  return (
    <main>
      <Banner />
      <header>
        <h1>Tic-tac-toe</h1>
        <Watching people={people} />
      </header>
      <section className="players" aria-label="Players">
        <Seat mark="X" people={people} state={board?.state} you={mark} />
        <Seat mark="O" people={people} state={board?.state} you={mark} />
      </section>
      <BoardView board={board} onPlace={(cell) => attempt(place.call({ cell }))} />
      <p className="news" aria-live="polite">
        {news(board?.state, people, mark)}
      </p>
      <p className="error" role="alert">
        {error?.message}
      </p>
      <footer>
        {mark === undefined ? (
          <NameForm pending={join.pending} onName={(name) => attempt(sit(name))} />
        ) : (
          <button
            type="button"
            className={isOver(board?.state) ? "" : "unseen"}
            disabled={again.pending}
            onClick={() => attempt(again.call())}>
            Play again
          </button>
        )}
      </footer>
    </main>
  );
}

function Watching({ people }: { people: People | undefined }) {
  const watching = people?.watching ?? 0;
  return <p className="watching">{watching > 0 && `${watching} looking on`}</p>;
}

interface SeatProps {
  readonly mark: Mark;
  readonly people: People | undefined;
  readonly state: State | undefined;
  readonly you: Mark | undefined;
}

function Seat({ mark, people, state, you }: SeatProps) {
  const player = mark === "X" ? people?.x : people?.o;
  const isTurn = state?.is === "turn" && state.mark === mark && isPaired(people);
  const hint = player && !player.here ? "away" : mark === you ? "you" : "";
  return (
    <div className={`seat ${mark}${isTurn ? " turn" : ""}${player?.here === false ? " away" : ""}`}>
      <span className="mark">{mark}</span>
      <span className="name">{player?.name ?? "free"}</span>
      <span className="hint">{hint}</span>
    </div>
  );
}

function NameForm({ pending, onName }: { pending: boolean; onName: (name: string) => void }) {
  const [name, setName] = useState(playerName() ?? "");
  function submit(event: FormEvent) {
    event.preventDefault();
    onName(name);
  }
  // No rules of its own: the server has them, and says what is wrong.
  return (
    <form onSubmit={submit}>
      <input
        aria-label="Your name"
        placeholder="Your name"
        autoComplete="nickname"
        enterKeyHint="go"
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <button type="submit" disabled={pending}>
        Play
      </button>
    </form>
  );
}

function isPaired(people: People | undefined): boolean {
  return people?.x != null && people.o !== null;
}

function isOver(state: State | undefined): boolean {
  return state?.is === "won" || state?.is === "draw";
}

/** What goes on, in a line. */
function news(state: State | undefined, people: People | undefined, you: Mark | undefined): string {
  if (state === undefined) return "";
  const name = (mark: Mark) => (mark === "X" ? people?.x?.name : people?.o?.name) ?? mark;
  switch (state.is) {
    case "won":
      return state.mark === you ? "You have won!" : `${name(state.mark)} has won.`;
    case "draw":
      return "A draw.";
    case "turn":
      if (!isPaired(people)) return "Send a friend this address.";
      return state.mark === you ? "Your turn." : `${name(state.mark)}'s turn.`;
  }
}
