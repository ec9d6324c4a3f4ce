/** The shapes of what the modules share. No part of the page: it is for who reads and checks them. */

/** Numbers as whole ones that rise with them, as packed.py makes them; shape is of all axes. */
export interface Codes {
  shape: number[];
  codes: Int32Array;
}

/** Rows over runs of steps; low, least and most only where they differ from high. */
export interface MapData {
  key: string;
  title: string;
  rows: string[];
  high: Codes;
  low?: Codes;
  least?: Codes;
  most?: Codes;
  shares?: boolean;
  /** whether rows are told apart by what they are called, else by their place */
  called?: boolean;
  /** of each sequence one, of what is unlike in them */
  each?: MapData[];
}

export interface Equation {
  name: string;
  value: Codes;
  adjoint: Codes;
  terms: { of: string; norm: Codes }[];
}

/** What each link of a route lost or won from the last step down to each. */
export interface Fall {
  route: string;
  words: string;
  start: number | string;
  links: string[];
  decade: number;
  sums: Codes;
}

export interface Steps {
  steps: number;
  each: { rows: string[]; codes: Codes };
  equations: Equation[];
  falls: Fall[];
  /** norms of a graph's nodes and arrows, by what the nodes are; of numbers alone there is none */
  ops?: MapData;
}

/** A node or an arrow of a graph, with the rows of its numbers; below 0 there are none. */
export interface Op {
  name: string;
  /** of the norm of its gradient, or of what an arrow sends back */
  row: number;
  value: number;
  words: string[];
  /** what its number is, of a node */
  what: string;
  /** of a node what reads it, each with the row of what it sends back */
  terms?: [string, number][];
}

/** A model at one moment of its training. */
export interface Moment {
  label: string;
  sentences: string[];
  runs: number[][];
  maps: MapData[];
  steps: Steps;
  tokens: { names: string[]; ids: Codes } | null;
}

export interface Model {
  name: string;
  moments: Moment[];
  ops: Record<string, Op> | null;
}

/** A color of each class and kind; low and high are powers of ten. */
export interface Scale {
  low: number;
  high: number;
  colors: string[];
  kinds: Record<string, string>;
  /** style of an arrow of each class and kind */
  arrows: Record<string, string>;
}

/** How a number is painted; its kind is what it is where it is no number on the scale, else "". */
export interface Look {
  color: string;
  kind: string;
}

/** What a map paints and says: the numbers of one flow, or of one less another. */
export interface Layer {
  title: string;
  rows: string[];
  isSplit: boolean;
  data: MapData;
  look: (k: number, isLow: boolean) => Look;
  words: (k: number) => string;
}

/** What is looked at. A place that is pinned, by a click, lets the pointer go elsewhere. */
export interface Place {
  model: number;
  moment: number;
  /** the model whose numbers are taken from these; below 0 there is none */
  less: number;
  step: number;
  /** the other end of a range of steps; 0: there is none */
  from: number;
  row: number;
  map: string;
  sequence: number;
  route: string;
  isPinned: boolean;
}

/** All that gathered.py writes. */
export interface Told {
  scale: Scale;
  sides: Scale;
  start: Place;
  /** a gate below it counts as closed */
  closed: number;
  tour: (Place & { words: string })[];
  models: Model[];
}
