/* `python3` of a library: the interpreter is all in libpython, as in the programs of builds with `--enable-shared`. */

extern int Py_BytesMain(int count, char **arguments);

int main(int count, char **arguments) {
    return Py_BytesMain(count, arguments);
}
