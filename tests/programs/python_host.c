// A program with an interpreter of Python inside: runs a script in it, on the main thread or on another.
//
//     python_host SCRIPT [main|thread|late] [ARGUMENT ...]
//
// What is printed is the script's own, but with `late`: then it prints `ready` and waits for a line before there is an interpreter.

#include <Python.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *script;
static char **rest;

__attribute__((noinline)) static int run_in_host(void) {
    FILE *file = fopen(script, "r");
    if (!file)
        return 2;
    PyObject *arguments = Py_BuildValue("[s]", "script");
    for (char **next = rest; *next; next++) {
        PyObject *argument = PyUnicode_FromString(*next);
        PyList_Append(arguments, argument);
        Py_DECREF(argument);
    }
    PySys_SetObject("argv", arguments);
    Py_DECREF(arguments);
    int failed = PyRun_SimpleFile(file, script);
    fclose(file);
    return failed;
}

static void *on_thread(void *unused) {
    (void)unused;
    PyGILState_STATE state = PyGILState_Ensure();
    long result = run_in_host();
    PyGILState_Release(state);
    return (void *)result;
}

int main(int count, char **arguments) {
    if (count < 3)
        return 2;
    script = arguments[1];
    rest = arguments + 3;
    if (!strcmp(arguments[2], "late")) {
        printf("ready %d\n", getpid());
        fflush(stdout);
        // Byte by byte: what comes after this line is the script's.
        for (char byte = 0; byte != '\n';)
            if (read(0, &byte, 1) != 1)
                return 2;
    }
    Py_InitializeEx(0);
    long result;
    if (!strcmp(arguments[2], "thread")) {
        pthread_t thread;
        PyThreadState *state = PyEval_SaveThread();
        if (pthread_create(&thread, NULL, on_thread, NULL) != 0)
            return 2;
        void *returned = NULL;
        pthread_join(thread, &returned);
        PyEval_RestoreThread(state);
        result = (long)returned;
    } else {
        result = run_in_host();
    }
    Py_Finalize();
    return result != 0;
}
