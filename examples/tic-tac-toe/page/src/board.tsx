// The nine cells.

import type { Board, Cell, Mark } from "./game.js";

interface BoardProps {
  readonly board: Board | undefined;
  readonly onPlace: (cell: Cell) => void;
}

const EMPTY: readonly (Mark | null)[] = Array(9).fill(null);

/** Every cell can be pressed: whether it may be is the server's to say. */
export function BoardView({ board, onPlace }: BoardProps) {
  const line = board?.state.is === "won" ? board.state.line : [];
  return (
    <section className={`board${line.length > 0 ? " won" : ""}`} aria-label="Board">
      {(board?.cells ?? EMPTY).map((mark, cell) => (
        <button
          // biome-ignore lint/suspicious/noArrayIndexKey: a cell is its number
          key={cell}
          type="button"
          className={line.includes(cell) ? "cell line" : "cell"}
          disabled={board === undefined}
          aria-label={`${place(cell)}, ${mark ?? "empty"}`}
          onClick={() => onPlace(cell)}>
          {mark !== null && <Drawn mark={mark} />}
        </button>
      ))}
    </section>
  );
}

function place(cell: Cell): string {
  const row = ["top", "middle", "bottom"][Math.floor(cell / 3)];
  return `${row} ${["left", "center", "right"][cell % 3]}`;
}

function Drawn({ mark }: { mark: Mark }) {
  return (
    <svg className={mark} viewBox="0 0 100 100" aria-hidden="true">
      {mark === "X" ? <path d="M26 26 74 74M74 26 26 74" /> : <circle cx="50" cy="50" r="26" />}
    </svg>
  );
}
