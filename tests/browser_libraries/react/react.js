// The modules of the documentation import React by its name; this file stands for that module.
export const {createElement, useCallback, useEffect, useRef, useState} = window.React;
