// The packed report: base64 of zlib's format of JSON. Lists become typed arrays, so that 100,000 stacks fit.

/** Unpacks the document. Rejects where the browser cannot, with words for the reader. */
async function readDocument() {
  if (typeof DecompressionStream !== 'function') {
    throw new Error(
      'This browser cannot unpack the report: it has no DecompressionStream. Chrome 89, Firefox 113 or Safari 16.4 is needed.',
    );
  }
  const element = byId('data');
  const packed = fromBase64(element.textContent);
  // The text is not needed twice.
  element.remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  return JSON.parse(await new Response(stream).text());
}

function fromBase64(text) {
  if (typeof Uint8Array.fromBase64 === 'function') {
    return Uint8Array.fromBase64(text);
  }
  const characters = atob(text);
  const found = new Uint8Array(characters.length);
  for (let index = 0; index < characters.length; index += 1) {
    found[index] = characters.charCodeAt(index);
  }
  return found;
}

/** The document with its columns ready for use; everything else of the page reads this. */
function prepare(document) {
  const { places, sites } = document;
  const functions = places.functions;
  const frames = {
    function: Int32Array.from(places.frames.function),
    file: places.frames.file,
    line: places.frames.line,
    inlined: places.frames.inlined,
  };
  const nodes = {
    above: Int32Array.from(places.nodes.up, (up, index) => index - up),
    frame: Int32Array.from(places.nodes.frame),
    function: Int32Array.from(places.nodes.frame, (frame) => frames.function[frame]),
  };
  const columns = (amounts) => {
    const column = (name, unit) => Float64Array.from(amounts[name][unit]);
    const both = (name) => ({ bytes: column(name, 'bytes'), count: column(name, 'count') });
    return { live: both('live'), allocated: both('allocated'), temporary: both('temporary'), peak: both('peak') };
  };
  const prepared = {
    document,
    isDiff: document.kind === 'diff',
    strings: places.strings,
    functions,
    frames,
    nodes,
    node: Int32Array.from(sites.node),
    count: sites.node.length,
    memory: sites.memory,
  };
  if (prepared.isDiff) {
    prepared.before = columns(sites.before);
    prepared.after = columns(sites.after);
  } else {
    prepared.amounts = columns(sites.amounts);
    prepared.histories = histories(document.histories);
    document.histories = null;
  }
  return prepared;
}

/** Histories of all sites behind each other; those of site `i` begin at `start[i]`. */
function histories({ moments, length, step, change }) {
  const start = new Int32Array(length.length + 1);
  const moment = new Int32Array(step.length);
  const value = new Float64Array(step.length);
  let at = 0;
  for (let site = 0; site < length.length; site += 1) {
    let [index, sum] = [-1, 0];
    for (const end = at + length[site]; at < end; at += 1) {
      index += step[at];
      sum += change[at];
      moment[at] = index;
      value[at] = sum;
    }
    start[site + 1] = at;
  }
  return { moments: Float64Array.from(moments), start, moment, value };
}
