// What the page's own script makes of numbers, one line of JSON:
//   node format.cjs FILE_OF_THE_SCRIPT '[["bytes", 1024], ...]'
'use strict';
const fs = require('fs');
const vm = require('vm');

const [file, wanted] = process.argv.slice(2);
const context = vm.createContext({});
vm.runInContext(fs.readFileSync(file, 'utf8'), context);
const made = JSON.parse(wanted).map(([name, value]) => vm.runInContext(`${name}(${JSON.stringify(value)})`, context));
process.stdout.write(JSON.stringify(made));
