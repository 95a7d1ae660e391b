@echo off
rem Starts the studio on Windows: double-click. The first time it installs what it needs, which takes some minutes.
rem Long paths: run once as administrator
rem   reg add HKLM\SYSTEM\CurrentControlSet\Control\FileSystem /v LongPathsEnabled /t REG_DWORD /d 1
setlocal
cd /d "%~dp0"
set PYTHONUTF8=1
if not exist .venv\Scripts\python.exe (
  where py >nul 2>nul || (
    echo Python is missing. Install Python 3.12 from https://www.python.org/downloads/ and start this file again.
    pause
    exit /b 1
  )
  py -3.12 -m venv .venv || py -3 -m venv .venv || (pause & exit /b 1)
)
where nvidia-smi >nul 2>nul
if errorlevel 1 (set INDEX=https://download.pytorch.org/whl/cpu) else (set INDEX=https://download.pytorch.org/whl/cu128)
fc /b requirements.txt .venv\installed.txt >nul 2>nul
if errorlevel 1 (
  .venv\Scripts\python -m pip install --index-url %INDEX% torch==2.11.0 torchaudio==2.11.0 || (pause & exit /b 1)
  .venv\Scripts\python -m pip install -r requirements.txt || (pause & exit /b 1)
  copy /y requirements.txt .venv\installed.txt >nul
)
start "" http://127.0.0.1:7860
.venv\Scripts\python app.py %*
if errorlevel 1 pause
